"""The pages build without a warning, and every public name is on one."""

import re
import subprocess
import sys
from importlib import import_module

import pytest

from pages.reading import DOCS

PUBLIC = {
    "pyg_diffpool": "torch",
    "pyg_diffpool.datasets": "torch",
    "pyg_diffpool.train": "lightning",
}


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_is_in_the_reference(package):
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


def test_builds_without_a_warning(tmp_path):
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
