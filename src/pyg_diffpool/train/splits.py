"""Which graphs train, validate and test."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from torch import Tensor

Split = dict[str, Tensor]


def fold_split(
    y: Tensor | None,  # [B]
    num_graphs: int,
    fold: int,
    num_folds: int = 10,
    seed: int = 0,
    groups: Tensor | None = None,  # [B]
) -> Split:
    """A round of cross-validation: fold `fold` tests, the next one validates.

    Folds are scikit-learn's: of `StratifiedKFold` for classes `y`, of `KFold` without
    and where no class has as many graphs as there are folds; where graphs of a group
    must stay together, of `StratifiedGroupKFold` and `GroupKFold`.

    Raises:
        ValueError: If there is no such fold.
    """
    if not 0 <= fold < num_folds or not 3 <= num_folds <= num_graphs:
        raise ValueError(
            "Expected 'fold' below 'num_folds', and that from 3 to the number of "
            f"graphs (got {fold}, {num_folds} and {num_graphs})."
        )
    options: dict[str, Any] = {"shuffle": True, "random_state": seed}
    if y is None or int(y.bincount().max()) < num_folds:
        kind: Any = KFold if groups is None else GroupKFold
    else:
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = kind(num_folds, **options).split(np.zeros(num_graphs), y, groups)
    part = torch.empty(num_graphs, dtype=torch.long)
    for i, (_, graphs) in enumerate(folds):
        part[graphs] = (i - fold) % num_folds
    chosen = {"train": part > 1, "val": part == 1, "test": part == 0}
    return {name: which.nonzero().view(-1) for name, which in chosen.items()}


def split_from_file(
    path: str | Path, num_graphs: int, fold: int | None = None
) -> Split:
    """A split, or one of a list of splits, from a JSON file.

    A split is `{"train": [...], "val": [...], "test": [...]}` with graphs from 0, or,
    as those of Errica et al. 2020, `{"test": [...], "model_selection": [{"train":
    [...], "validation": [...]}]}`.

    Raises:
        ValueError: If there is no such file or fold, or it is no split.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
        entries = content if isinstance(content, list) else [content]
        entry = entries[range(len(entries)).index(fold or 0)]
        inner = entry.pop("model_selection", [{}])[0]
        return check_split(entry | inner, num_graphs)
    except (OSError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"Expected '{path}' to hold lists 'train', 'val' and 'test' of graphs from "
            f"0 to {num_graphs - 1} for fold {fold or 0} (got {type(error).__name__}: "
            f"{error})."
        ) from error


def check_split(parts: dict[str, Any], num_graphs: int) -> Split:
    """A split whose parts have graphs that there are, each at most once.

    Raises:
        ValueError: If it is none.
    """
    names = {"validation": "val", "valid": "val"}
    found = {names.get(name, name): torch.as_tensor(v) for name, v in parts.items()}
    split = {name: found.get(name, torch.empty(0)) for name in ("train", "val", "test")}
    chosen = torch.cat([*split.values()])
    if (
        any(len(part) == 0 or part.is_floating_point() for part in split.values())
        or chosen.unique().numel() < chosen.numel()
        or not 0 <= int(chosen.min()) <= int(chosen.max()) < num_graphs
    ):
        got = {name: part.tolist()[:3] for name, part in split.items()}
        raise ValueError(
            f"Expected whole numbers below {num_graphs} in each part of a split, none "
            f"twice (got {got}, ...)."
        )
    return split
