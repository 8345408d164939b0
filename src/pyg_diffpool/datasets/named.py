"""Data sets by name, by folder, or by the import path of their class."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch_geometric.data import Dataset
from torch_geometric.datasets import TUDataset
from torch_geometric.transforms import Compose

from pyg_diffpool.datasets._cache import cache_folder
from pyg_diffpool.datasets.features import CappedDegree, DepthColumn
from pyg_diffpool.datasets.python_functions import PythonFunctions
from pyg_diffpool.datasets.tu_folder import TUFolder


def load_dataset(name: str, root: str | None = None) -> Dataset:
    """Load a graph classification data set whose graphs all have ``x``.

    ``name`` is one of

    - ``"PythonFunctions"``: the functions that have a class, with ``x`` of shape
      ``[n, 3]``, integer (type, attribute, depth), for a model with one embedding
      a column; ``dataset.feature_cardinalities`` has their sizes;
    - the name of a set of :class:`torch_geometric.datasets.TUDataset`, such as
      ``"ENZYMES"``, which is downloaded once, with node attributes;
    - a folder in TUDataset's raw layout, ``FOLDER/NAME_A.txt`` or
      ``FOLDER/raw/NAME_A.txt``: see :class:`~pyg_diffpool.datasets.TUFolder`;
    - the import path of a class or function, ``"package.module:Class"`` or
      ``"package.module.Class"``, looked up in the working folder too. It is called
      with ``root`` if it takes one, otherwise without arguments, and must give a
      :class:`torch_geometric.data.Dataset`.

    Graphs without node features get the degree of every node, one-hot with 65
    columns, the last for degrees of 64 and more.

    Args:
        name: What to load.
        root: Folder for downloads and processed files. (default: the user's cache
            folder, ``$XDG_CACHE_HOME/pyg_diffpool``)

    Returns:
        The data set.

    Raises:
        TypeError: If the imported object does not give a data set.
        ValueError: If ``name`` is none of these, or its files are missing or
            malformed.

    Example:
        .. code-block:: python

            dataset = load_dataset("ENZYMES")
            dataset = load_dataset("data/my_graphs")
            dataset = load_dataset("my_package.data:Molecules")
    """
    base = cache_folder() if root is None else Path(root)
    if name == "PythonFunctions":
        return PythonFunctions(base / name, transform=DepthColumn(), labelled_only=True)
    if _is_folder(name):
        return _with_features(TUFolder(Path(name).expanduser(), base / "TUFolder"))
    if ":" in name or "." in name:
        return _with_features(_imported(name, base))
    return _with_features(_tu_dataset(name, base))


def _is_folder(name: str) -> bool:
    """Tell paths, and plain names of folders that hold graphs, from other names."""
    held = (any(Path(name).glob(files)) for files in ("*_A.txt", "raw/*_A.txt"))
    return "/" in name or os.sep in name or any(held)


def _with_features(dataset: Dataset) -> Dataset:
    if len(dataset) == 0:
        raise ValueError(f"expected at least one graph in {dataset!r}, got none")
    if getattr(dataset[0], "x", None) is None:
        before = [] if dataset.transform is None else [dataset.transform]
        dataset.transform = Compose([*before, CappedDegree()])
    return dataset


def _tu_dataset(name: str, base: Path) -> TUDataset:
    try:
        return TUDataset(str(base), name, use_node_attr=True)
    except Exception as error:
        raise ValueError(
            f"expected 'PythonFunctions', the name of a TUDataset, a folder or the "
            f"import path of a class, got {name!r}, which could not be loaded as a "
            f"TUDataset ({type(error).__name__}: {error}); check the spelling and the "
            f"network, or put its text files into {str(base / name / 'raw')!r}"
        ) from error


def _imported(path: str, base: Path) -> Dataset:
    factory = _find_object(path)
    if not callable(factory):
        raise TypeError(
            f"expected a class or function at {path!r}, got {type(factory).__name__}"
        )
    accepted = inspect.signature(factory).parameters
    keywords = (
        {"root": str(base / path.replace(":", "."))} if "root" in accepted else {}
    )
    _check_call(path, factory, keywords)
    dataset = factory(**keywords)
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"expected a torch_geometric.data.Dataset from {path!r}, got "
            f"{type(dataset).__name__}; derive it from InMemoryDataset"
        )
    return dataset


def _check_call(path: str, factory: Callable[..., Any], keywords: Any) -> None:
    try:
        inspect.signature(factory).bind(**keywords)
    except TypeError as error:
        raise TypeError(
            f"expected {path!r} to need no argument but 'root', got {error}; give the "
            f"others defaults, or name a function that fills them in"
        ) from error


def _find_object(path: str) -> Any:
    module_name, _, attribute = path.rpartition(":" if ":" in path else ".")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"expected 'package.module:Class' to import, got {path!r}, which could "
            f"not be imported ({error}); check the spelling and that the package is "
            f"installed or in the working folder"
        ) from error
    return found
