"""The commands: what they write and print, and what is left when they are stopped."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from pyg_diffpool import _extras
from pyg_diffpool.cli import main
from pyg_diffpool.train import DiffPoolModule
from training.conftest import QUICK, SMALL

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
    assert {p.name for p in (run / "checkpoints").iterdir()} == {
        "best.ckpt",
        "last.ckpt",
    }
    assert result["fold"] == 1
    assert result["epochs"] == 2
    assert Path(result["checkpoint"]) == Path("runs/version_0/checkpoints/best.ckpt")
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


def test_a_checkpoint_is_safe_to_load_and_gives_the_same_again(cli, make_set):
    result = cli("fit", f"--data.dataset={make_set()}", *QUICK)
    torch.load(result["checkpoint"], weights_only=True)
    model = DiffPoolModule.load_from_checkpoint(result["checkpoint"], weights_only=True)
    assert model.hparams["num_clusters"] == [4, 2]
    again = cli("test", f"--ckpt_path={result['checkpoint']}")
    for key in ("test_accuracy", "test_loss", "test_baseline_accuracy"):
        assert again[key] == result[key]
    assert "val_accuracy" in cli("validate", "--ckpt_path=best")
    config = Path(result["checkpoint"]).parents[1] / "config.yaml"
    assert cli("test", f"--config={config}", "--ckpt_path=best")["fold"] is None


def test_a_run_goes_on_where_it_stopped(cli, make_set):
    cli("fit", f"--data.dataset={make_set()}", *QUICK)
    result = cli("fit", "--ckpt_path=last", "--trainer.max_epochs=4")
    assert result["epochs"] == 4
    assert "version_1" in result["checkpoint"]
    again = cli("test", "--config=runs/version_1/config.yaml")  # with its checkpoint
    assert again["checkpoint"] == str(Path("runs/version_0/checkpoints/last.ckpt"))
    state = torch.load("runs/version_1/checkpoints/last.ckpt", weights_only=True)
    assert state["epoch"] == 3


@pytest.mark.parametrize("command", ["test", "fit"])
@pytest.mark.parametrize("option", ["fold=2", "seed=1", "num_folds=4"])
def test_graphs_of_the_training_are_not_tested(cli, make_set, command, option):
    cli("fit", f"--data.dataset={make_set()}", *QUICK)
    text = f"Expected '{option.split('=')[0]}' to be"
    with pytest.raises(SystemExit, match=text):
        cli(command, "--ckpt_path=last", f"--data.{option}")


@pytest.mark.parametrize("part", ["checkpoint", "early_stopping"])
def test_another_score_needs_its_mode(cli, make_set, part):
    options = ["fit", f"--data.dataset={make_set()}", *QUICK]
    with pytest.raises(SystemExit, match=f"Expected '--{part}.mode'"):
        cli(*options, f"--{part}.monitor=val/loss")
    assert cli(*options, f"--{part}.monitor=val/loss", f"--{part}.mode=min")["epochs"]


def test_weights_alone_are_a_checkpoint_too(cli, make_set):
    options = [*QUICK, "--checkpoint.save_weights_only=true"]
    result = cli("fit", f"--data.dataset={make_set()}", *options)
    assert cli("test", "--ckpt_path=best")["test_loss"] == result["test_loss"]


def test_runs_are_repeatable(cli, make_set):
    name = make_set()
    first, second = (cli("fit", f"--data.dataset={name}", *QUICK) for _ in range(2))
    assert first["test_loss"] == second["test_loss"]
    assert first["checkpoint"] != second["checkpoint"]


def test_predictions_as_json_lines(cli, make_set):
    cli("fit", f"--data.dataset={make_set()}", *QUICK)
    cli("predict", "--ckpt_path=best", "--predictions.path=out/p.jsonl")
    rows = [json.loads(line) for line in Path("out/p.jsonl").read_text().splitlines()]
    assert len(rows) == 60
    assert rows[3].keys() == {"graph", "predicted", "probability", "true"}


@pytest.mark.parametrize("limit", ["00:00:00:03", "00:00:00:00"])
def test_a_limit_of_time_still_tests(cli, make_set, limit):
    options = [
        *SMALL,
        "--early_stopping.patience=100000",
        "--trainer.max_epochs=100000",
    ]
    options += [f"--trainer.max_time={limit}", "--data.batch_size=1"]
    assert "test_accuracy" in cli("fit", f"--data.dataset={make_set()}", *options)


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
    ids=["int", "term"],
)
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


@contextmanager
def largest_file(size):
    """Files cannot grow beyond `size` bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_checkpoint_of_before(cli, make_set):
    result = cli("fit", f"--data.dataset={make_set()}", *QUICK)
    size = Path(result["checkpoint"]).stat().st_size // 2
    resume = ["--ckpt_path=last", "--trainer.max_epochs=3"]
    with largest_file(size), pytest.raises(SystemExit, match=r"^pyg-diffpool: .*large"):
        cli("fit", *resume)
    assert cli("fit", *resume)["epochs"] == 3


def test_two_processes(cli, work, make_set):
    two = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.accelerator=cpu"]
    name = make_set()
    process = start(work, "fit", f"--data.dataset={name}", *QUICK, *two)
    out, text = process.communicate(timeout=300)
    assert process.returncode == 0, text
    assert json.loads(out.splitlines()[-1])["epochs"] == 2
    assert cli("test", "--ckpt_path=best")["test_accuracy"] >= 0
    with pytest.raises(SystemExit, match=r"Expected one device for 'test' \(got 2\)"):
        cli("test", "--ckpt_path=best", *two)


WRONG = {
    "an option that is not there": (["fit", "--model.width=3"], "model.width"),
    "a word for a number": (["fit", "--model.lr=x"], r"'?float'?.*x"),
    "no such model": (["fit", "--model.gnn=Foo", *QUICK], "'gnn' to name a BasicGNN"),
    "no checkpoint": (["test"], "'--ckpt_path' for test"),
    "no such checkpoint": (["test", "--ckpt_path=a.ckpt"], "a.ckpt"),
    "no last": (["fit", "--ckpt_path=last"], "last.ckpt below 'runs'"),
    "nothing to plot": (["plot", "--ckpt_path=best"], "best.ckpt below 'runs'"),
    "damaged": (["test", "--ckpt_path=damaged.ckpt"], "checkpoint of 'pyg-diffpool"),
    "foreign": (["predict", "--ckpt_path=foreign.ckpt"], "checkpoint of 'pyg-diffpool"),
    "no such set": (["fit", "--data.dataset=nowhere.set:Graphs"], "to import"),
    "no data set": (["fit", "--data.dataset=json:dumps"], "json:dumps"),
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


@pytest.mark.parametrize(("extra", "command"), [("train", "fit"), ("plot", "plot")])
def test_a_missing_extra_ends_in_the_remedy(monkeypatch, cli, make_set, extra, command):
    if command == "plot":
        cli("fit", f"--data.dataset={make_set()}", *QUICK)
    monkeypatch.setitem(_extras.EXTRAS, extra, ("no_such_package",))
    monkeypatch.setitem(sys.modules, "lightning.fabric.utilities", None)
    sys.modules.pop("pyg_diffpool.train.plot", None)
    text = rf'no_such_package.*pip install "pyg-diffpool\[{extra}\]"'
    with pytest.raises(SystemExit, match=text):
        main([command, "--ckpt_path=best"])
