import pytest
import torch

from pyg_diffpool import _extras
from pyg_diffpool.cli import main


@pytest.mark.parametrize("command", ["validate", "test", "predict", "plot"])
def test_commands_ask_for_a_checkpoint(command):
    with pytest.raises(SystemExit, match=f"pyg-diffpool {command} CHECKPOINT"):
        main([command])


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"there is no file '.*best.ckpt'"):
        main(["test", str(tmp_path)])


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
def test_damaged_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "a.ckpt").write_bytes(content)
    with pytest.raises(SystemExit, match=r"'.*a.ckpt' cannot be read"):
        main(["test", str(tmp_path / "a.ckpt")])


def test_foreign_checkpoint_is_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "a.ckpt")
    with pytest.raises(SystemExit, match="load_from_checkpoint instead"):
        main(["test", str(tmp_path / "a.ckpt")])


@pytest.mark.parametrize(
    ("extra", "command"), [("train", "fit"), ("plot", "plot")], ids=str
)
def test_missing_extra_ends_in_the_remedy(monkeypatch, extra, command):
    monkeypatch.setitem(_extras.EXTRAS, extra, ("no_such_package",))
    with pytest.raises(SystemExit) as error:
        main([command])
    message = str(error.value)
    assert "no_such_package" in message
    assert message.endswith(f'pip install "pyg-diffpool[{extra}]"')


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for command in ("fit", "validate", "test", "predict", "plot"):
        assert f"    {command} " in text
