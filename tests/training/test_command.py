"""The commands: what they write and print, and what is left when they are stopped."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pyg_diffpool import _extras
from pyg_diffpool.cli import main
from pyg_diffpool.train import DiffPoolModule
from training.conftest import QUICK, SMALL, write_tu

# A shell's background jobs ignore SIGINT, and so would what these tests start there.
MAIN = """
import signal
from pyg_diffpool.cli import main

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
"""


def start(work, *args):
    (work / "start.py").write_text(MAIN)
    return subprocess.Popen(
        [sys.executable, "start.py", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=work,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_run_leaves_log_options_and_checkpoints(cli, work, make_set):
    result = cli("fit", f"--data.dataset={make_set()}", *QUICK, "--data.fold=1")
    run = work / "runs" / "version_0"
    names = {path.name for path in run.iterdir()}
    assert names >= {"config.yaml", "hparams.yaml", "metrics.csv", "checkpoints"}
    assert any(name.startswith("events.out.tfevents") for name in names)
    checkpoints = {path.name for path in (run / "checkpoints").iterdir()}
    assert checkpoints == {"best.ckpt", "last.ckpt"}
    assert result["fold"] == 1
    assert result["epochs"] == 2
    assert result["checkpoint"] == "runs/version_0/checkpoints/best.ckpt"
    assert 0 <= result["test_accuracy"] <= 1
    assert result["test_baseline_accuracy"] == 0.5
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for stage in ("train", "val"):
        used = [
            float(row[f"{stage}/perplexity_1"]) for row in rows if row[f"{stage}/loss"]
        ]
        assert len(used) == 2
        assert all(1 < value <= 4 for value in used)
    again = cli("test", "--config=runs/version_0/config.yaml", "--ckpt_path=best")
    measured = {name for name in result if name.startswith("test_")}
    assert {name: again[name] for name in measured} == {n: result[n] for n in measured}
    assert "val_accuracy" in cli("validate", "--ckpt_path=best")
    other = cli("fit", "--config=runs/version_0/config.yaml")  # of the same seed
    assert other["test_loss"] == result["test_loss"]
    assert other["checkpoint"] == "runs/version_1/checkpoints/best.ckpt"


def test_a_checkpoint_is_safe_to_load(trained):
    model = DiffPoolModule.load_from_checkpoint(trained, weights_only=True)
    assert model.hparams["num_clusters"] == [4, 2]
    assert model.hparams["class_names"] == ["3", "7"]


@pytest.mark.usefixtures("trained")
def test_a_run_goes_on_where_it_stopped(cli):
    more = ["--trainer.max_epochs=27", "--early_stopping.patience=90"]
    result = cli("fit", "--ckpt_path=last", *more)
    assert result["epochs"] == 27
    assert "version_1" in result["checkpoint"]
    again = cli("test", "--config=runs/version_1/config.yaml")  # with its checkpoint
    assert again["checkpoint"] == "runs/version_0/checkpoints/last.ckpt"
    state = torch.load("runs/version_1/checkpoints/last.ckpt", weights_only=True)
    assert state["epoch"] == 26
    (patience,) = (
        s["patience"] for s in state["callbacks"].values() if "patience" in s
    )
    assert patience == 90


CONTRADICTED = {
    "test": ["--data.fold=2", "--data.seed=1", "--model.gnn=GCN"],
    "fit": ["--data.num_folds=4", "--model.lr=0.5", "--data.dataset=./NEW"],
}


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("command", "option"), [(c, o) for c, os in CONTRADICTED.items() for o in os]
)
def test_options_that_contradict_a_checkpoint_are_refused(cli, work, command, option):
    write_tu(work / "NEW", range(30), [3, 7] * 15)
    name = option.partition("=")[0].partition(".")[2]
    text = f"^pyg-diffpool: Expected '{name}' to be .* as in the checkpoint"
    with pytest.raises(SystemExit, match=text):
        cli(command, "--ckpt_path=last", option, "--trainer.max_epochs=30")


def test_without_time_the_first_weights_are_tested(cli, make_set):
    options = [*SMALL, "--trainer.max_time=00:00:00:00", "--data.batch_size=1"]
    result = cli("fit", f"--data.dataset={make_set()}", *options)
    assert result["checkpoint"] is None
    assert 0 <= result["test_accuracy"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint(cli, work, make_set, number):
    long = ["--trainer.max_epochs=100000", "--early_stopping.patience=100000"]
    process = start(work, "fit", f"--data.dataset={make_set()}", *SMALL, *long)
    last = work / "runs/version_0/checkpoints/last.ckpt"
    try:
        end = time.monotonic() + 120
        while not last.exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    epoch = torch.load(last, weights_only=True)["epoch"]
    options = ["--ckpt_path=last", *long, f"--trainer.max_epochs={epoch + 2}"]
    assert cli("fit", *options)["epochs"] == epoch + 2


TWO = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.accelerator=cpu"]


@pytest.mark.slow
def test_two_processes_train(cli, work, make_set):
    process = start(work, "fit", f"--data.dataset={make_set()}", *QUICK, *TWO)
    out, text = process.communicate(timeout=300)
    assert process.returncode == 0, text
    assert json.loads(out.splitlines()[-1])["epochs"] == 2
    assert cli("test", "--ckpt_path=best")["test_accuracy"] >= 0


@pytest.mark.usefixtures("trained")
def test_two_processes_do_not_test(cli):
    with pytest.raises(SystemExit, match=r"Expected one device for 'test' \(got 2\)"):
        cli("test", "--ckpt_path=best", *TWO)


WRONG = {
    "an option that is not there": (["fit", "--model.width=3"], "model.width"),
    "no such model": (["fit", "--model.gnn=Foo", *QUICK], "'gnn' to name a BasicGNN"),
    "no checkpoint": (["test"], "'--ckpt_path' for test"),
    "no such checkpoint": (["test", "--ckpt_path=a.ckpt"], "a.ckpt"),
    "no last": (["fit", "--ckpt_path=last"], "last.ckpt below 'runs'"),
    "damaged": (["plot", "--ckpt_path=damaged.ckpt"], "checkpoint of 'pyg-diffpool"),
    "foreign": (["predict", "--ckpt_path=foreign.ckpt"], "checkpoint of 'pyg-diffpool"),
    "no such set": (["fit", "--data.dataset=nowhere.set:Graphs"], "No module"),
    "no data set": (["fit", "--data.dataset=json:JSONEncoder"], "gives a JSONEnc"),
    "no such folder": (["fit", "--data.dataset=./absent"], "one file NAME_A.txt in"),
}


@pytest.mark.parametrize(("args", "text"), WRONG.values(), ids=WRONG)
def test_errors_are_one_line(cli, work, args, text):
    (work / "damaged.ckpt").write_bytes(b"PK\x03\x04 cut off")
    torch.save({"state_dict": {}}, work / "foreign.ckpt")
    with pytest.raises(SystemExit, match=text) as stop:
        cli(*args)
    assert str(stop.value).startswith("pyg-diffpool: ")
    assert "\n" not in str(stop.value)


def test_with_debug_the_error_itself_is_raised(cli):
    with pytest.raises(ValueError, match="'--ckpt_path' for test"):
        cli("test", "--debug")


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(("extra", "command"), [("train", "fit"), ("plot", "plot")])
def test_a_missing_extra_ends_in_the_remedy(monkeypatch, extra, command):
    monkeypatch.setitem(_extras.EXTRAS, extra, ("no_such_package",))
    monkeypatch.setitem(sys.modules, "lightning.fabric.utilities", None)
    sys.modules.pop("pyg_diffpool.train.plot", None)
    text = rf'no_such_package.*pip install "pyg-diffpool\[{extra}\]"'
    with pytest.raises(SystemExit, match=text):
        main([command, "--ckpt_path=best"])


def test_without_a_logger_files_are_in_the_root_folder_only(cli, work, make_set):
    name = make_set()
    before = set(work.iterdir())
    options = ["--trainer.logger=false", "--trainer.default_root_dir=here"]
    cli("fit", f"--data.dataset={name}", *QUICK, *options)
    new = {path.name for path in set(work.iterdir()) - before} - {"__pycache__"}
    assert new == {"here"}
    assert len(list(Path("here").rglob("best.ckpt"))) == 1
