"""Where and with what a run was made: machine, versions, commit, date, command."""

import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    "pyg-diffpool",
    "torch",
    "torch_geometric",
    "torch-geometric-pool",
    "torch_scatter",
    "torch_sparse",
    "numpy",
)


def describe_run() -> dict[str, Any]:
    """All that is needed to tell two runs apart."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
        "command": _command(sys.orig_argv),
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


def _command(argv: Sequence[str]) -> str:
    """As typed, but for the folders, which mean nothing elsewhere."""
    words = ["python", *argv[1:]]
    return " ".join("FOLDER" if Path(word).is_absolute() else word for word in words)


def total_memory() -> int:
    """Bytes of physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _version(package: str) -> str | None:
    if package == "torch":
        return str(torch.__version__)  # with the build, which its wheel may leave out
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout, with `+` where source files differ from it."""
    root = Path(__file__).parent
    try:
        head = _git(root, "rev-parse", "--short=10", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "../src", "*.py")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(
        command, capture_output=True, check=True, text=True
    ).stdout.strip()


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
