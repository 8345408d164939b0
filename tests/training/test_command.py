import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import seed_everything

from pyg_diffpool.cli import main
from pyg_diffpool.lightning import GraphClassifier
from training.commands import SMALL, fit, run

KEYS = {
    "dataset",
    "fold",
    "seed",
    "test_accuracy",
    "test_loss",
    "majority_accuracy",
    "epochs",
    "seconds_per_epoch",
    "peak_memory_mib",
    "device",
    "parameters",
    "checkpoint",
    "torch",
    "torch_geometric",
    "pyg_diffpool",
}


def test_fit_prints_and_writes_the_result(fitted):
    result, folder = fitted
    assert result.keys() >= KEYS
    assert result == json.loads((folder / "result.json").read_text())
    assert result["epochs"] == 3
    assert result["seconds_per_epoch"] > 0
    assert result["peak_memory_mib"] > 0
    assert 0 <= result["test_accuracy"] <= 1
    assert Path(result["checkpoint"]) == folder / "best.ckpt"
    names = {path.name for path in folder.iterdir()}
    assert names >= {"best.ckpt", "last.ckpt", "config.yaml", "metrics.csv"}
    assert any(name.startswith("events.out.tfevents") for name in names)


@pytest.mark.parametrize("stage", ["train", "val"])
def test_the_number_of_clusters_in_use_is_logged(fitted, stage):
    with (fitted[1] / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[f"{stage}/perplexity_1"]]
    assert len(rows) == 3
    for level, k in ((1, 4), (2, 2)):
        used = [float(row[f"{stage}/perplexity_{level}"]) for row in rows]
        assert all(1 < value <= k for value in used)


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_checkpoint_is_safe_to_load(fitted, name):
    path = fitted[1] / name
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"]["hidden_channels"] == 8
    model = GraphClassifier.load_from_checkpoint(path, weights_only=True)
    assert model.hparams.num_clusters == [4, 2]


def test_last_checkpoint_is_that_of_the_last_epoch(fitted):
    assert torch.load(fitted[1] / "last.ckpt", weights_only=True)["epoch"] == 2


def test_test_repeats_the_result_of_fit(fitted):
    result, folder = fitted
    again = run("test", folder / "best.ckpt")
    for key in ("test_accuracy", "test_loss", "majority_accuracy"):
        assert again[key] == pytest.approx(result[key], abs=1e-5)


def test_settings_come_from_the_checkpoint_alone(fitted, tmp_path):
    moved = shutil.copy(fitted[1] / "best.ckpt", tmp_path / "moved.ckpt")
    assert run("validate", moved)["dataset"] == fitted[0]["dataset"]
    assert run("test", moved, "--data.fold=3")["fold"] == 3


def test_predict_writes_every_test_graph(fitted, tmp_path):
    result, folder = fitted
    main(["predict", str(folder), f"--output={tmp_path / 'a.csv'}"])
    main(["predict", str(folder), f"--output={tmp_path / 'a.jsonl'}"])
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [{k: str(v) for k, v in json.loads(line).items()} for line in lines] == rows
    right = sum(row["predicted"] == row["true"] for row in rows)
    assert right / len(rows) == pytest.approx(result["test_accuracy"], abs=1e-5)
    # Rings have even numbers in the data set: the index is that of the whole set.
    rings = {row["true"] for row in rows if int(row["graph"]) % 2 == 0}
    stars = {row["true"] for row in rows if int(row["graph"]) % 2}
    assert len(rings) == len(stars) == 1
    assert rings != stars


def test_max_time_still_tests_and_prints(tiny, tmp_path):
    result = fit(
        tiny, tmp_path, "--trainer.max_time=00:00:00:02", "--trainer.max_epochs=100000",
        "--early_stopping.patience=100000",
    )  # fmt: skip
    assert 0 < result["epochs"] < 100000
    assert result.keys() >= KEYS


def test_max_time_before_the_end_of_the_first_epoch(tiny, tmp_path):
    result = fit(
        tiny, tmp_path, "--trainer.max_time=00:00:00:00", "--data.batch_size=1"
    )
    assert Path(result["checkpoint"]).is_file()
    assert result.keys() >= KEYS


def test_runs_are_repeatable(tiny, tmp_path):
    first, second = (fit(tiny, tmp_path, "--trainer.max_epochs=2") for _ in range(2))
    assert first["test_loss"] == second["test_loss"]
    assert first["checkpoint"] != second["checkpoint"]


def test_two_processes(tiny, tmp_path):
    """Two ranks: one JSON line, one log, every test graph counted once."""
    script = "from pyg_diffpool.cli import main; main()"
    path = tmp_path / "run.py"
    path.write_text(script)
    done = subprocess.run(
        [
            *(sys.executable, path, "fit", f"--data.dataset={tiny}", *SMALL),
            *(f"--runs={tmp_path}", "--trainer.max_epochs=2", "--trainer.devices=2"),
            *("--trainer.strategy=ddp", "--trainer.accelerator=cpu"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["devices"] == 2
    again = run("test", tmp_path / "TINY" / "version_0")
    assert again["test_accuracy"] == pytest.approx(result["test_accuracy"], abs=1e-5)
    assert [path.name for path in (tmp_path / "TINY").iterdir()] == ["version_0"]


def test_weights_of_the_auxiliary_losses(tiny):
    from pyg_diffpool.datasets.module import GraphDataModule

    data = GraphDataModule(str(tiny))
    batch = next(iter(data.test_dataloader()))
    seed_everything(0)
    model = GraphClassifier(
        data.in_channels,
        data.num_classes,
        8,
        [4, 2],
        link_weight=2.0,
        entropy_weight=3.0,
    ).eval()
    output = model(batch)
    expected = (
        torch.nn.functional.cross_entropy(output.out, batch.y)
        + 2 * output.link_loss
        + 3 * output.entropy_loss
    )
    model.log_dict = lambda *_, **__: None
    torch.testing.assert_close(model.training_step(batch, 0), expected)


def test_unknown_gnn_is_named():
    with pytest.raises(ValueError, match=r"'GraphSAGE', 'GCN' or 'GIN' \(got 'Foo'\)"):
        GraphClassifier(3, 2, gnn="Foo")


def test_an_assignment_that_is_not_learned_is_refused():
    with pytest.raises(ValueError, match="a learned assignment"):
        GraphClassifier(3, 2, learn_assignment=False)
