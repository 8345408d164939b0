"""Results as JSON, each with where and by what it was made."""

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

Result = dict[str, Any]
FOLDER = Path(__file__).parent / "results"
PACKAGES = (
    "pyg-diffpool",
    "torch",
    "torch_geometric",
    "torch-geometric-pool",
    "torch_scatter",
    "torch_sparse",
    "numpy",
)


def save(name: str, content: dict[str, Any], folder: Path) -> Path:
    """Write `content` with a description of the run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    text = json.dumps({"run": describe_run(), **content}, indent=1, allow_nan=False)
    path.write_text(text + "\n")
    return path


def load(name: str, folder: Path) -> dict[str, Any] | None:
    """What `save` wrote, or `None` if it has not."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text())
    return content


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
    git = ("git", "-C", str(Path(__file__).parent))
    asked = (("rev-parse", "--short=10", "HEAD"), ("status", "-s", "../src", "*.py"))
    try:
        head, changed = (
            subprocess.check_output([*git, *command], text=True).strip()
            for command in asked
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
