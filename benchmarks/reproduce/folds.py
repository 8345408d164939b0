"""Which graphs train and which are measured."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_diffpool.datasets import Split, fold_split, split_from_file

NUM_FOLDS = 10
_FILES = {"PROTEINS": "PROTEINS_full"}


class PaperFold(NamedTuple):
    """One of ten: nine parts train, one validates, none is left to test on."""

    train: Tensor  # [B']
    val: Tensor  # [B'']


def paper_fold(
    y: Tensor,  # [B]
    fold: int,
) -> PaperFold:
    """A stratified fold, seed 0."""
    split = fold_split(y, fold, NUM_FOLDS, seed=0)
    return PaperFold(torch.cat([split.train, split.val]).sort().values, split.test)


def fair_fold(folder: Path, name: str, num_graphs: int, fold: int) -> Split:
    """A published fold of Errica et al. 2020.

    Args:
        folder: Holds `NAME_splits.json`, from `data_splits` of their repository.
        name: The set.
        num_graphs: Number of its graphs.
        fold: From 0 to 9.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    path = folder / f"{_FILES.get(name, name)}_splits.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected the published folds in {path} (got no such file). Copy them "
            "from data_splits/ of github.com/diningphil/gnn-comparison, and say with "
            "'--splits' where they are."
        )
    return split_from_file(path, num_graphs, fold)
