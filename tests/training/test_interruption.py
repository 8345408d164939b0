"""Runs that are stopped, or cannot write: what is left, and what is said."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pyg_diffpool.cli import main
from pyg_diffpool.lightning import GraphClassifier
from test_files import largest_file
from training.commands import SMALL, fit, run

# A shell's background jobs ignore SIGINT, and so would what these tests start there.
MAIN = """
import signal
from pyg_diffpool.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
LONG = ("--trainer.max_epochs=1000000", "--early_stopping.patience=1000000")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)]
)
def test_a_signal_leaves_a_checkpoint_and_the_way_on(tiny, tmp_path, number, status):
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", MAIN, "fit", f"--data.dataset={tiny}"),
            *(f"--runs={tmp_path}", *SMALL, *LONG),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    folder = tmp_path / "TINY" / "version_0"
    try:
        wait_for((folder / "best.ckpt").is_file)
        process.send_signal(number)
        _, text = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status
    assert f"Go on from its last whole epoch with: pyg-diffpool fit {folder}\n" in text
    assert not list(folder.glob("*.part"))
    epoch = torch.load(folder / "last.ckpt", weights_only=True)["epoch"]
    result = run("fit", folder, f"--trainer.max_epochs={epoch + 2}")
    assert result["epochs"] == epoch + 2


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    tiny, tmp_path, monkeypatch, capsys
):
    settings = ("--model.dropout=0.5", "--data.batch_size=8", "--trainer.max_epochs=3")
    fit(tiny, tmp_path, "--name=whole", *settings)
    step = GraphClassifier.training_step
    for last_step in (2, 9):  # in the first epoch, and in the second

        def interrupted(self, batch, batch_idx, last_step=last_step):
            if self.global_step == last_step:
                raise KeyboardInterrupt
            return step(self, batch, batch_idx)

        handler = signal.getsignal(signal.SIGINT)
        monkeypatch.setattr(GraphClassifier, "training_step", interrupted)
        with pytest.raises(SystemExit):
            fit(tiny, tmp_path, f"--name=parts{last_step}", *settings)
        monkeypatch.undo()
        signal.signal(signal.SIGINT, handler)
        folder = tmp_path / f"parts{last_step}" / "version_0"
        assert f"pyg-diffpool fit {folder}\n" in capsys.readouterr().err
        run("fit", folder)
        expected = weights(tmp_path / "whole" / "version_0")
        torch.testing.assert_close(weights(folder), expected, rtol=0, atol=0)


def test_a_full_disk_keeps_the_last_good_checkpoint(tiny, tmp_path, capsys):
    fit(tiny, tmp_path, "--trainer.max_epochs=2")
    folder = tmp_path / "TINY" / "version_0"
    before = (folder / "last.ckpt").read_bytes()
    text = r"pyg-diffpool: .*ckpt' \(got: File too large\).* is kept.*--runs"
    with largest_file(len(before) // 2), pytest.raises(SystemExit, match=text):
        main(["fit", str(folder), "--trainer.max_epochs=4"])
    assert (folder / "last.ckpt").read_bytes() == before
    assert f"pyg-diffpool fit {folder}\n" in capsys.readouterr().err
    assert run("fit", folder, "--trainer.max_epochs=4")["epochs"] == 4


def test_a_folder_that_cannot_be_written_is_named(tiny, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"pyg-diffpool: .*[Ff]ile.*--runs"):
        fit(tiny, tmp_path / "file", "--trainer.max_epochs=1")
