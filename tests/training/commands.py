"""Run the command line in this process."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

from pyg_diffpool.cli import main

SMALL = ["--model.hidden_channels=8", "--model.num_clusters=[4,2]"]


def run(*args: str | Path) -> dict[str, Any]:
    """Run a command in this process; return the JSON line that it printed."""
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
        main([str(arg) for arg in args])
    text = stdout.getvalue()
    assert text.count("\n") == 1, text
    return json.loads(text)


def fit(data: Path, runs: Path, *args: str) -> dict[str, Any]:
    return run("fit", f"--data.dataset={data}", f"--runs={runs}", *SMALL, *args)
