"""Data sets by name, by folder, or by the import path of their class."""

import inspect
import pkgutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric import get_home_dir
from torch_geometric.data import Dataset
from torch_geometric.data.data import DataEdgeAttr, DataTensorAttr
from torch_geometric.data.storage import GlobalStorage
from torch_geometric.datasets import TUDataset

from pyg_diffpool._extras import require_extra
from pyg_diffpool.datasets.python_functions import PythonFunctions


def load_dataset(name: str, root: str | None = None) -> Dataset:
    """Load a data set of graphs.

    Args:
        name: `"PythonFunctions"`; the name of a `TUDataset`, such as `"ENZYMES"`; a
            folder with the raw files of one, `FOLDER/NAME_A.txt` or
            `FOLDER/raw/NAME_A.txt`; the name of an OGB set, such as `"ogbg-molhiv"`;
            or `"package.module:Class"`, which is called with `root` if it takes one.
        root: Folder of downloads and processed files. (default: PyG's own)

    Returns:
        The data set. One with raw files also tells what PyG numbers anew, the labels
        of its graphs (`class_names`) and of nodes and edges (`label_ranges`).

    Raises:
        ValueError: If there is no such set, or its files are damaged.
    """
    base = Path(get_home_dir() if root is None else root)
    if name == "PythonFunctions":
        return PythonFunctions(base / name, labelled_only=True)
    if name.startswith("ogbg-"):
        return _ogb(name, base)
    if "/" in name or "\\" in name or Path(name).is_dir():
        return _tu_folder(Path(name).expanduser())
    if ":" in name:
        return _imported(name, base)
    try:
        return _tu_set(base, name)
    except Exception as error:
        raise ValueError(
            "Expected 'dataset' to be PythonFunctions, a TUDataset, an ogbg-... set, a "
            f"folder or 'package.module:Class' (got {name!r}, and as a TUDataset "
            f"{type(error).__name__}: {error}). Check the spelling and the network."
        ) from error


def _ogb(name: str, base: Path) -> Dataset:
    require_extra("ogb")
    from ogb.graphproppred import PygGraphPropPredDataset

    kept = [DataEdgeAttr, DataTensorAttr, GlobalStorage]  # in OGB's processed files
    with torch.serialization.safe_globals(kept):
        return PygGraphPropPredDataset(name, str(base))


def _tu_set(root: Path, name: str) -> TUDataset:
    """Tell what PyG numbers anew, and keep graphs without edges at the end."""
    dataset = TUDataset(str(root), name, use_node_attr=True, use_edge_attr=True)
    raw = Path(dataset.raw_dir)
    labels = raw / f"{name}_graph_labels.txt"
    if labels.exists() and not (raw / f"{name}_graph_attributes.txt").exists():
        table = _table(labels)
        if table.shape[1] == 1:
            dataset.class_names = [str(label) for label in np.unique(table)]
        else:
            dataset._data.y = torch.from_numpy(table)
    tables = [_table(path) for path in sorted(raw.glob(f"{name}_[ne]*_labels.txt"))]
    dataset.label_ranges = [[t.min(0).tolist(), t.max(0).tolist()] for t in tables]
    slices: dict[str, Tensor] = dataset.slices
    longest = max(len(ends) for ends in slices.values())
    for key, ends in slices.items():
        slices[key] = torch.cat([ends, ends[-1:].expand(longest - len(ends))])
    return dataset


def _tu_folder(folder: Path) -> TUDataset:
    """Read by PyG from copies that end in a line break: it drops what is behind one."""
    found = [*folder.glob("*_A.txt")] or [*folder.glob("raw/*_A.txt")]
    if len(found) != 1:
        got = f"{len(found)} of them" if folder.is_dir() else "no such folder"
        raise ValueError(
            f"Expected one file NAME_A.txt in '{folder}' or '{folder / 'raw'}' (got "
            f"{got})."
        )
    raw, name = found[0].parent, found[0].name.removesuffix("_A.txt")
    with tempfile.TemporaryDirectory() as root:
        copies = Path(root, name, "raw")
        copies.mkdir(parents=True)
        try:
            for path in raw.glob(f"{name}_*.txt"):
                text = path.read_text("utf-8-sig").rstrip()
                Path(copies, path.name).write_text(f"{text}\n", "utf-8")
            _check_lines(copies, name)
            return _tu_set(Path(root), name)
        except Exception as error:
            raise ValueError(
                f"Expected {name}_*.txt in '{raw}' in the layout of TUDataset (got "
                f"{type(error).__name__}: {error})."
            ) from error


def _check_lines(raw: Path, name: str) -> None:
    """That files belong together, which PyG takes for granted."""
    graph = _table(raw / f"{name}_graph_indicator.txt")[:, 0]
    edges = _table(raw / f"{name}_A.txt")
    if (np.diff(graph) < 0).any() or graph.min() < 1:
        raise ValueError("the nodes are not sorted by graph, numbered from 1")
    if edges.min() < 1 or edges.max() > len(graph):
        raise ValueError(f"edges of nodes outside 1 to {len(graph)}")
    if (np.diff(graph[edges - 1]) != 0).any():
        raise ValueError("edges between nodes of two graphs")
    counts = {"node": len(graph), "edge": len(edges), "graph": graph.max()}
    for path in raw.glob(f"{name}_*_*s.txt"):  # labels and attributes
        expected = counts[path.stem.removeprefix(f"{name}_").split("_")[0]]
        lines = len(path.read_text("utf-8").splitlines())
        if lines != expected:
            raise ValueError(f"{lines} lines in {path.name} instead of {expected}")


def _table(path: Path) -> Any:
    return np.loadtxt(path, np.int64, delimiter=",", ndmin=2)


def _imported(path: str, base: Path) -> Dataset:
    sys.path.append(str(Path.cwd()))
    try:
        factory = pkgutil.resolve_name(path)
        parameters = inspect.signature(factory).parameters
        root = {"root": str(base / path.rpartition(":")[2])}
        dataset = factory(**(root if "root" in parameters else {}))
        if not isinstance(dataset, Dataset):
            raise TypeError(f"it gives a {type(dataset).__name__}")
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(
            f"Expected 'package.module:Class' of a PyG data set (got {path!r}: {error}"
            "). Check the spelling, and that it is installed or in this folder."
        ) from error
    finally:
        sys.path.pop()
    return dataset
