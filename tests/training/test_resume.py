import csv
import shutil

import torch

from training.commands import fit, run


def test_resume_continues_epochs_log_and_best(tiny, tmp_path):
    fit(tiny, tmp_path, "--trainer.max_epochs=2", "--name=a")
    folder = tmp_path / "a" / "version_0"
    best = torch.load(folder / "best.ckpt", weights_only=True)
    result = run("fit", folder, "--trainer.max_epochs=4", "--model.lr=0")
    assert result["epochs"] == 4
    assert [path.name for path in folder.parent.iterdir()] == ["version_0"]
    with (folder / "metrics.csv").open() as file:
        epochs = [row["epoch"] for row in csv.DictReader(file) if row["val/loss"]]
    assert epochs == ["0", "1", "2", "3"]
    after = torch.load(folder / "last.ckpt", weights_only=True)
    scores = [
        next(
            state["best_model_score"]
            for name, state in content["callbacks"].items()
            if "val/accuracy" in name and "ModelCheckpoint" in name
        )
        for content in (best, after)
    ]
    assert scores[1] >= scores[0]


def test_resumed_run_equals_an_uninterrupted_one(tiny, tmp_path):
    settings = ("--model.dropout=0.5", "--data.batch_size=8")
    whole = fit(tiny, tmp_path, "--name=a", "--trainer.max_epochs=4", *settings)
    fit(tiny, tmp_path, "--name=b", "--trainer.max_epochs=2", *settings)
    parts = run("fit", tmp_path / "b" / "version_0", "--trainer.max_epochs=4")
    assert parts["test_loss"] == whole["test_loss"]
    weights = [
        torch.load(tmp_path / name / "version_0" / "last.ckpt", weights_only=True)
        for name in "ab"
    ]
    torch.testing.assert_close(
        weights[1]["state_dict"], weights[0]["state_dict"], rtol=0, atol=0
    )


def test_a_moved_run_keeps_its_best_checkpoint(tiny, tmp_path):
    fit(tiny, tmp_path, "--name=a", "--trainer.max_epochs=2", "--model.lr=0.01")
    folder = tmp_path / "elsewhere" / "version_0"
    shutil.move(tmp_path / "a", folder.parent)
    best = (folder / "best.ckpt").read_bytes()
    result = run("fit", folder, "--trainer.max_epochs=3", "--model.lr=10")
    assert result["epochs"] == 3
    assert (folder / "best.ckpt").read_bytes() == best
    assert result["checkpoint"] == str(folder / "best.ckpt")
    assert not (tmp_path / "a").exists()
