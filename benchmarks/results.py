"""Results as JSON, each with where and by what it was made."""

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

Result = dict[str, Any]
Results = Iterator[Result]  # what there is so far, as it grows
FOLDER = Path(__file__).parent / "results"
PACKAGES = (
    *("pyg-diffpool", "torch", "torch_geometric", "torch-geometric-pool"),
    *("torch_scatter", "torch_sparse", "numpy"),
)


def save(name: str, content: Result, folder: Path) -> Path:
    """Write `content` with a description of the run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    text = json.dumps({"run": describe_run(), **content}, allow_nan=False)
    path.write_text(text + "\n")
    return path


def load(name: str, folder: Path) -> Result | None:
    path = folder / f"{name}.json"
    return dict(json.loads(path.read_text())) if path.exists() else None


def describe_run() -> Result:
    """All that is needed to tell two runs apart.

    The command is as typed, but for the folders, which mean nothing elsewhere.
    """
    words = ("FOLDER" if Path(w).is_absolute() else w for w in sys.orig_argv[1:])
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
        "command": " ".join(["python", *words]),
        "commit": _commit(),
        "machine": {
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "ram_gib": round(total_memory() / 2**30, 1),
            "system": platform.platform(terse=True),
        },
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def total_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _version(package: str) -> str | None:
    if package == "torch":
        return str(torch.__version__)  # with the build, which its wheel may leave out
    with suppress(PackageNotFoundError):
        return version(package)
    return None


def _commit() -> str | None:
    """The commit of the checkout, with `+` where source files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    asked = (["rev-parse", "--short=10", "HEAD"], ["status", "-s", "../src", "*.py"])
    options: Any = {"text": True, "stderr": subprocess.DEVNULL}
    with suppress(OSError, subprocess.CalledProcessError):
        head, changed = (subprocess.check_output(git + a, **options) for a in asked)
        return f"{head.strip()}{'+' * bool(changed)}"
    return None


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
