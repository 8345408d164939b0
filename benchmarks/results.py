"""Results as JSON, one file for each benchmark."""

import json
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_run

FOLDER = Path(__file__).parent / "results"


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
