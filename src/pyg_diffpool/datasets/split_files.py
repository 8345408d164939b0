"""Splits that somebody published as a JSON file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyg_diffpool.datasets.splits import Split

_KEYS = {"train": ("train",), "val": ("val", "validation"), "test": ("test",)}
_LAYOUTS = (
    '{"train": [...], "val": [...], "test": [...]}, a list of those, or a list of '
    '{"test": [...], "model_selection": [{"train": [...], "validation": [...]}]}'
)


def split_from_file(path: str | Path, num_graphs: int, fold: int = 0) -> Split:
    """Read a split, or one of a list of splits, from a JSON file.

    The file holds ``{"train": [...], "val": [...], "test": [...]}`` (``validation``
    is read as ``val``), or a list of such objects, one a fold, or the layout of
    `Errica et al. 2020 <https://arxiv.org/abs/1912.09893>`_: a list of
    ``{"test": [...], "model_selection": [{"train": [...], "validation": [...]}]}``.
    Graphs are numbered from 0; a split may leave graphs out.

    Args:
        path: The file.
        num_graphs: Number of graphs of the data set.
        fold: Which split of a list to take. (default: 0)

    Returns:
        The split.

    Raises:
        TypeError: If an entry of a part is not an integer.
        ValueError: If there is no such file or fold, the file is in no known
            layout, a part is empty, a graph is out of range or in two parts.
    """
    name = str(path)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"expected a JSON file of splits at {name!r}, could not read it "
            f"({error.strerror}); check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"expected JSON in the split file {name!r}, got something else ({error}); "
            f"write {_LAYOUTS}"
        ) from error
    entry = _pick_fold(content, fold, name)
    parts = {part: _read_part(entry, part, num_graphs, name) for part in _KEYS}
    try:
        return Split(**{part: numbers.sort().values for part, numbers in parts.items()})
    except ValueError as error:
        raise ValueError(f"split file {name!r}, fold {fold}: {error}") from error


def _pick_fold(content: object, fold: int, name: str) -> Mapping[str, Any]:
    folds = content if isinstance(content, list) else [content]
    if not 0 <= fold < len(folds):
        raise ValueError(
            f"'fold' must be from 0 to {len(folds) - 1}, as the split file {name!r} "
            f"holds {len(folds)}, got {fold}"
        )
    entry = folds[fold]
    if isinstance(entry, dict) and "model_selection" in entry:
        inner = entry["model_selection"]
        if isinstance(inner, list) and inner and isinstance(inner[0], dict):
            entry = {**inner[0], "test": entry.get("test")}
    if not isinstance(entry, dict):
        raise ValueError(
            f"expected fold {fold} of the split file {name!r} to be an object, got "
            f"{type(entry).__name__}; write {_LAYOUTS}"
        )
    return entry


def _read_part(
    entry: Mapping[str, Any], part: str, num_graphs: int, name: str
) -> Tensor:
    numbers = next((entry[key] for key in _KEYS[part] if key in entry), None)
    if not isinstance(numbers, list):
        raise ValueError(
            f"expected a list {part!r} in the split file {name!r}, got keys "
            f"{sorted(entry)}; write {_LAYOUTS}"
        )
    for number in numbers:
        if type(number) is not int:
            raise TypeError(
                f"expected integers in {part!r} of the split file {name!r}, got "
                f"{number!r}; number the graphs from 0"
            )
    _check_range(numbers, part, num_graphs, name)
    return torch.tensor(numbers, dtype=torch.long)


def _check_range(numbers: list[int], part: str, num_graphs: int, name: str) -> None:
    outside = next((n for n in numbers if not 0 <= n < num_graphs), None)
    if outside is not None:
        raise ValueError(
            f"expected numbers from 0 to {num_graphs - 1} in {part!r} of the split "
            f"file {name!r}, as there are {num_graphs} graphs, got {outside}; "
            f"check that the file is for this data set and counts from 0"
        )
