"""One JSON file for each fold, written when it is done."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_run
from pyg_diffpool._files import write_whole


class MissingFoldsError(RuntimeError):
    """Folds that a mean would need have not been run."""


def record_path(folder: Path, dataset: str, method: str, fold: int) -> Path:
    """Where a fold is kept: `SET/METHOD/fold-0.json`."""
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", method)
    return folder / dataset / plain / f"fold-{fold}.json"


def read_record(path: Path, settings: object) -> dict[str, Any] | None:
    """What is there, or `None`.

    Raises:
        ValueError: If it was made with other settings.
    """
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    if record["settings"] != settings:
        raise ValueError(
            f"Expected {path} to be of these settings (got {record['settings']} "
            f"instead of {settings}). Remove it, or give another '--results' folder."
        )
    return record


def write_record(path: Path, content: dict[str, Any]) -> None:
    """Write at once or not at all, with a description of the run."""
    text = json.dumps({**content, "run": describe_run()}, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


def recorded(folder: Path) -> dict[str, list[str]]:
    """The methods of which there is any fold, by set."""
    there: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*/*/fold-*.json")):
        method = json.loads(path.read_text())["method"]
        there.setdefault(path.parts[-3], []).append(method)
    return there


def read_all(
    folder: Path,
    dataset: str,
    method: str,
    settings: object,
    folds: Sequence[int] = range(10),
) -> list[dict[str, Any]]:
    """All folds, or seeds, of a method on a set.

    Raises:
        MissingFoldsError: If one is missing.
    """
    records = [
        read_record(record_path(folder, dataset, method, fold), settings)
        for fold in folds
    ]
    pairs = zip(folds, records, strict=True)
    missing = [fold for fold, record in pairs if record is None]
    if missing:
        raise MissingFoldsError(
            f"Expected all {len(folds)} folds of {method} on {dataset} (folds "
            f"{', '.join(map(str, missing))} are missing). Run them with "
            f'\'--sets {dataset} --methods "{method}" '
            f"--folds {','.join(map(str, missing))}'."
        )
    return [record for record in records if record is not None]


def in_percent(shares: Sequence[float]) -> dict[str, Any]:
    """Mean, deviation and each of what the folds, or seeds, gave."""
    folds = 100 * torch.tensor(shares, dtype=torch.double)
    return {
        "accuracy": round(float(folds.mean()), 2),
        "deviation": round(float(folds.std(correction=0)), 2),
        "folds": [round(value, 2) for value in folds.tolist()],
    }


def seconds_per_epoch(records: Sequence[dict[str, Any]]) -> float | None:
    """The mean over all trainings; `None` where nothing is trained."""
    trained = [record for record in records if "val" in record]
    if not trained:
        return None
    spent = sum(record["seconds"] for record in trained)
    return float(round(spent / sum(len(record["val"]) for record in trained), 3))
