"""Data sets by name, and how they are split.

:class:`~pyg_diffpool.datasets.module.GraphDataModule`, which needs Lightning, is
imported from its own module.
"""

from pyg_diffpool.datasets._cache import cache_folder
from pyg_diffpool.datasets.named import load_dataset
from pyg_diffpool.datasets.nested_clusters import NestedClusters
from pyg_diffpool.datasets.python_functions import PythonFunctions
from pyg_diffpool.datasets.split_files import split_from_file
from pyg_diffpool.datasets.splits import Split, fold_split, stratified_split
from pyg_diffpool.datasets.tu_folder import TUFolder

__all__ = [
    "NestedClusters",
    "PythonFunctions",
    "Split",
    "TUFolder",
    "cache_folder",
    "fold_split",
    "load_dataset",
    "split_from_file",
    "stratified_split",
]
