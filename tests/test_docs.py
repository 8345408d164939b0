"""The pages of the documentation: their code runs, and they build without a warning."""

import ast
import doctest
import re
import shlex
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```(python|pycon|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PUBLIC = {
    "pyg_diffpool": "torch",
    "pyg_diffpool.datasets": "torch",
    "pyg_diffpool.lightning": "lightning",
    "pyg_diffpool.plot": "matplotlib",
}


def blocks(page: Path, *kinds: str) -> list[tuple[str, str]]:
    """Kind and code, after as many empty lines as put it where the page has it."""
    text = page.read_text(encoding="utf-8")
    return [
        (block[1], "\n" * text.count("\n", 0, block.start(2)) + block[2])
        for block in BLOCK.finditer(text)
        if block[1] in kinds
    ]


def absent_peers(code: str) -> set[str]:
    """The packages beside ours that the block imports and that are not there."""
    nodes = list(ast.walk(ast.parse(code)))
    names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    names += [str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)]
    return {n for n in (name.partition(".")[0] for name in names) if not find_spec(n)}


def check_session(text: str, names: dict[str, object], page: Path) -> None:
    test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), 0)
    report: list[str] = []
    result = doctest.DocTestRunner().run(test, out=report.append, clear_globs=False)
    assert result.failed == 0, "".join(report)
    names.update(test.globs)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python", "pycon")], ids=lambda p: p.stem
)
def test_code_runs(page: Path) -> None:
    names: dict[str, object] = {"__name__": page.stem}
    absent: set[str] = set()
    for kind, code in blocks(page, "python", "pycon"):
        if kind == "pycon":
            check_session(code, names, page)
        elif missing := absent_peers(code):
            absent |= missing
        else:
            exec(compile(code, str(page), "exec"), names)
    if absent:
        pytest.skip(f"all but the blocks that import {', '.join(sorted(absent))} ran")


def commands(page: Path) -> list[list[str]]:
    lines = "".join(code for _, code in blocks(page, "console")).split("\n")
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line]


def test_options_of_the_commands_exist(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning")
    from pyg_diffpool.cli import main

    fits = [c for c in commands(DOCS / "command-line.md") if c[1] == "fit"]
    fresh = [c for c in fits if len(c) == 2 or c[2].startswith("-")]
    assert len(fresh) >= 5
    for _, *arguments in fresh:
        with pytest.raises(SystemExit) as stop:
            main([*arguments, "--print_config"])
        assert stop.value.code == 0, capsys.readouterr().err


def test_the_script_for_several_processes_runs(tmp_path: Path) -> None:
    page = (DOCS / "scaling.md").read_text(encoding="utf-8")
    script = re.search(
        r"^:caption: train.py\n(.*?)^```", page, re.DOTALL | re.MULTILINE
    )
    assert script
    (tmp_path / "train.py").write_text(script[1])
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, "-m", *launch, "train.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    losses = dict(re.findall(r"epoch 1, process (\d): link loss (\S+)", done.stdout))
    assert losses.keys() == {"0", "1"}
    assert losses["0"] == losses["1"]


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_is_in_the_reference(package: str) -> None:
    pytest.importorskip(PUBLIC[package])
    reference = "".join(p.read_text() for p in (DOCS / "api").glob("*.md"))
    module = import_module(package)
    made_here = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (getattr(value, "__module__", None) or "").startswith(package + ".")
    }
    names = set(getattr(module, "__all__", made_here))
    assert names
    directives = re.findall(r"auto(?:function|class):: (?:[\w.]+\.)?(\w+)", reference)
    assert names <= set(directives)


def test_builds_without_a_warning(tmp_path: Path) -> None:
    for package in ("sphinx", "furo", "myst_parser", "lightning", "matplotlib"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-E"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "api" / "operator.html").is_file()
