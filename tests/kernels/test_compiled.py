"""Every kernel as the compiler makes it: registers spilled and shared memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = 99 * 1024  # bytes that a block may have on every card since compute 8.0
PROGRAM = str(Path(__file__).with_name("compiling.py"))


@pytest.mark.parametrize("arch", ["80", "90"])
@pytest.mark.parametrize("which", ["few", pytest.param("all", marks=pytest.mark.slow)])
def test_registers_and_shared_memory(which: str, arch: str) -> None:
    pytest.importorskip("triton", reason="Triton is for Linux")
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, PROGRAM, arch, which],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    reports = json.loads(done.stdout)
    names = {report["kernel"] for report in reports}
    assert len(names) == 11
    wrong = [r for r in reports if r["spilled"] or r["shared"] > SHARED]
    assert not wrong, wrong
    assert not any(r["is_wide"] for r in reports)  # which Triton 3.6 lays out amiss
