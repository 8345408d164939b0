"""Two processes: one is killed and the run goes on; `torchrun` starts them.

Run with -m slow.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from training.commands import SMALL

pytestmark = pytest.mark.slow
MAIN = "from pyg_diffpool.cli import main\nmain()\n"
TWO = ("--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.accelerator=cpu")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def script(tmp_path) -> Path:
    path = tmp_path / "run.py"
    path.write_text(MAIN)
    return path


def command(script: Path, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, script, "fit", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def test_a_killed_process_ends_the_run_which_then_goes_on(tiny, tmp_path, script):
    settings = [f"--data.dataset={tiny}", f"--runs={tmp_path}", *SMALL, *TWO]
    settings += ["--trainer.max_epochs=30", "--data.batch_size=8"]
    killed, whole = (tmp_path / name / "version_0" for name in ("killed", "whole"))
    process = command(script, *settings, "--name=killed")
    end = time.monotonic() + 120
    while not (killed / "best.ckpt").is_file():
        assert time.monotonic() < end
        time.sleep(0.05)
    children = f"/proc/{process.pid}/task/{process.pid}/children"
    os.kill(int(Path(children).read_text().split()[-1]), signal.SIGKILL)
    _, text = process.communicate(timeout=60)
    assert process.returncode in (1, -signal.SIGKILL)
    assert f"pyg-diffpool fit {killed}\n" in text
    assert "expected all processes of the run to answer" in text
    for args in ([killed], [*settings, "--name=whole"]):
        process = command(script, *args)
        out, text = process.communicate(timeout=200)
        assert process.returncode == 0, text
        assert json.loads(out)["epochs"] == 30
    weights = [
        torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (killed, whole)
    ]
    torch.testing.assert_close(*weights, rtol=0, atol=0)


def test_torchrun_starts_two(tiny, tmp_path, script):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"),
            *("--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", script, "fit"),
            *(f"--data.dataset={tiny}", f"--runs={tmp_path}", *SMALL, *TWO),
            "--trainer.max_epochs=2",
        ],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["devices"] == 2
    assert [path.name for path in (tmp_path / "TINY").iterdir()] == ["version_0"]
