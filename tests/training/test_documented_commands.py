"""The commands of the documentation, as they stand there."""

from pathlib import Path

import pytest

from pages.reading import DOCS, PAGES, commands
from pyg_diffpool.cli import main
from training.conftest import QUICK

ALL = [c[1:] for page in PAGES for c in commands(page) if c[0] == "pyg-diffpool"]
FIT = [c for c in ALL if c[0] == "fit" and "--ckpt_path" not in c]
ON_A_RUN = [c for c in ALL if c not in FIT]


@pytest.mark.parametrize("arguments", FIT, ids=" ".join)
def test_options_exist(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--print_config"])
    assert stop.value.code == 0, capsys.readouterr().err


def test_commands_on_a_run_work(cli, make_set):
    cli("fit", f"--data.dataset={make_set()}", *QUICK)
    for arguments in ON_A_RUN:
        short = [a if a != "300" else "3" for a in arguments]
        cli(*short)
    for picture in ("clusters.png", "curves.png"):
        assert next(Path("runs").rglob(picture)).stat().st_size > 1000


def test_the_page_of_the_command_line_shows_all_commands():
    shown = {c[1] for c in commands(DOCS / "command-line.md")}
    assert shown == {"fit", "validate", "test", "predict", "plot"}
