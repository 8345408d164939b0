"""The Python of the pages runs, as it stands and in its order."""

import ast
import doctest
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from pages.reading import DOCS, PAGES, blocks


def absent_peers(code):
    """The packages beside ours that the block imports and that are not there."""
    nodes = list(ast.walk(ast.parse(code)))
    names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    names += [str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)]
    return {n for n in (name.partition(".")[0] for name in names) if not find_spec(n)}


def check_session(text, names, page):
    test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), 0)
    report: list[str] = []
    result = doctest.DocTestRunner().run(test, out=report.append, clear_globs=False)
    assert result.failed == 0, "".join(report)
    names.update(test.globs)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python", "pycon")], ids=lambda p: p.stem
)
def test_code_runs(page):
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


def test_the_script_for_several_processes_runs(tmp_path):
    page = (DOCS / "scaling.md").read_text(encoding="utf-8")
    script = re.search(
        r"^:caption: train.py\n(.*?)^```", page, re.DOTALL | re.MULTILINE
    )
    assert script
    (tmp_path / "train.py").write_text(script[1])
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    launch += ["--redirects", "1", "--log-dir", "logs"]  # else lines may mingle
    done = subprocess.run(
        [sys.executable, "-m", *launch, "train.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    printed = "".join(log.read_text() for log in tmp_path.rglob("stdout.log"))
    losses = dict(re.findall(r"epoch 1, process (\d): link loss (\S+)", printed))
    assert losses.keys() == {"0", "1"}
    assert losses["0"] == losses["1"]
