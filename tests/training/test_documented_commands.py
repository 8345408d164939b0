"""The commands of the documentation, as they stand there."""

from pathlib import Path

import pytest

from pages.reading import DOCS, PAGES, commands
from pyg_diffpool.train import command

ALL = [c[1:] for page in PAGES for c in commands(page) if c[0] == "pyg-diffpool"]
FIT = [c for c in ALL if c[0] == "fit" and "--ckpt_path" not in c]
ON_A_RUN = [c for c in ALL if c not in FIT]


class Parsed(Exception):  # noqa: N818
    """Ends a command that has been parsed."""


def test_options_exist():
    class OnlyParser(command.DiffPoolCLI):
        def parse_arguments(self, parser, args):  # noqa: ARG002
            for arguments in FIT:
                parser.parse_args([a for a in arguments if a != "--print_config"])
            raise Parsed

    with pytest.raises(Parsed):
        OnlyParser([])


@pytest.mark.usefixtures("trained")
def test_commands_on_a_run_work(cli):
    pytest.importorskip("matplotlib")
    for arguments in ON_A_RUN:
        cli(*("26" if a == "300" else a for a in arguments))
    for picture in ("clusters.png", "curves.png"):
        assert next(Path("runs").rglob(picture)).stat().st_size > 1000


def test_the_page_of_the_command_line_shows_all_commands():
    shown = {c[1] for c in commands(DOCS / "command-line.md")}
    assert shown == {"fit", "validate", "test", "predict", "plot"}
