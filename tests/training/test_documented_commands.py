"""The commands of the documentation, as they stand there."""

import shutil
from pathlib import Path

import pytest

from pages.reading import DOCS, PAGES, commands
from pyg_diffpool.cli import main
from training.commands import fit

ALL = [c[1:] for page in PAGES for c in commands(page) if c[0] == "pyg-diffpool"]
FRESH = [c for c in ALL if c[0] == "fit" and (len(c) == 1 or c[1].startswith("-"))]
ON_A_RUN = [c for c in ALL if c not in FRESH]


@pytest.mark.parametrize("arguments", FRESH, ids=" ".join)
def test_options_exist(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--print_config"])
    assert stop.value.code == 0, capsys.readouterr().err


@pytest.fixture(scope="module")
def folder_with_a_run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with `runs/ENZYMES/version_0`, of other data."""
    folder = tmp_path_factory.mktemp("work")
    options = ["--trainer.max_epochs=2", "--early_stopping.patience=1"]
    fit(tiny, folder / "runs", "--name=ENZYMES", *options)
    return folder


@pytest.mark.parametrize("arguments", ON_A_RUN, ids=" ".join)
def test_commands_on_a_run_work(
    arguments: list[str],
    folder_with_a_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(folder_with_a_run, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    main(arguments)


def test_the_page_of_the_command_line_shows_all_commands() -> None:
    shown = {c[1] for c in commands(DOCS / "command-line.md")}
    assert shown == {"fit", "validate", "test", "predict", "plot"}
