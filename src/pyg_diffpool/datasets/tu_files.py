"""Reading and checking the text files of TUDataset's raw layout."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce, one_hot, remove_self_loops

from pyg_diffpool.datasets.tu_checks import (
    check_attributes,
    check_edges,
    check_graphs,
    check_labels,
)

_REQUIRED = ("A", "graph_indicator", "graph_labels")
_OPTIONAL = ("node_attributes", "node_labels", "edge_attributes", "edge_labels")
_OF_EDGES = ("A", "edge_attributes", "edge_labels")  # may be empty


@dataclass(frozen=True)
class TUFiles:
    """Where the files of one data set are.

    Attributes:
        folder: The folder that holds them.
        name: What their names begin with.
    """

    folder: Path
    name: str

    @classmethod
    def find(cls, folder: Path) -> "TUFiles":
        """Look for ``NAME_A.txt`` and its companions in ``folder`` or its ``raw``.

        Raises:
            ValueError: If the folder, or a file that must be there, is missing, or
                several data sets lie in one folder.
        """
        for place in (folder, folder / "raw"):
            names = sorted(
                path.name[: -len("_A.txt")] for path in place.glob("*_A.txt")
            )
            if len(names) > 1:
                raise ValueError(
                    f"expected one data set in {str(place)!r}, got {names}; give each "
                    f"a folder of its own"
                )
            if names:
                return cls(place, names[0])._checked()
        found = "there is no such folder" if not folder.is_dir() else "it has neither"
        raise ValueError(
            f"expected 'NAME_A.txt' or 'raw/NAME_A.txt' in {str(folder)!r}, but "
            f"{found}; give a folder in TUDataset's raw layout"
        )

    def path(self, kind: str) -> Path:
        """Return the path of one file, which may not be there."""
        return self.folder / f"{self.name}_{kind}.txt"

    def present(self) -> list[Path]:
        """List the files that are there."""
        paths = [self.path(kind) for kind in (*_REQUIRED, *_OPTIONAL)]
        return [path for path in paths if path.is_file()]

    def _checked(self) -> "TUFiles":
        missing = [self.path(k).name for k in _REQUIRED if not self.path(k).is_file()]
        if missing:
            raise ValueError(
                f"expected {', '.join(missing)} beside {self.path('A').name} in "
                f"{str(self.folder)!r}, not found; TUDataset's raw layout needs it"
            )
        return self


def read_tu_files(files: TUFiles) -> tuple[list[Data], list[str]]:
    """Read and check all graphs.

    Args:
        files: Where they are.

    Returns:
        The graphs, with ``edge_index``, ``y``, ``x`` (or, without features,
        ``num_nodes``) and, with features of edges, ``edge_attr``; and the label of
        every class.

    Raises:
        ValueError: If a file is not numeric, lengths do not match, an edge leaves
            the range of nodes or its graph, or nodes are not sorted by graph.
    """
    labels, y = _read(files, "graph_labels", np.int64)[:, 0].unique(return_inverse=True)
    graph = _read(files, "graph_indicator", np.int64)[:, 0] - 1  # [N]
    indicator = files.path("graph_indicator")
    check_graphs(indicator, files.path("graph_labels"), graph, y.numel())
    edge_index = _read(files, "A", np.int64, columns=2).t() - 1  # [2, E]
    check_edges(files.path("A"), indicator, edge_index, graph)
    x = _read_features(files, "node", graph.numel(), "graph_indicator")
    edge_attr = _read_features(files, "edge", edge_index.size(1), "A")
    edge_index, edge_attr = remove_self_loops(edge_index, edge_attr)
    edge_index, edge_attr = coalesce(edge_index, edge_attr, num_nodes=graph.numel())
    num_nodes = graph.bincount(minlength=y.numel())
    num_edges = graph[edge_index[0]].bincount(minlength=y.numel()).tolist()
    first = num_nodes.cumsum(0) - num_nodes
    edges = edge_index.split(num_edges, dim=1)
    graphs = [
        Data(edge_index=e - offset, y=label.view(1), num_nodes=n)
        for e, offset, label, n in zip(edges, first, y, num_nodes.tolist(), strict=True)
    ]
    if x is not None:
        for data, rows in zip(graphs, x.split(num_nodes.tolist()), strict=True):
            data.x = rows
            del data.num_nodes
    if edge_attr is not None:
        for data, rows in zip(graphs, edge_attr.split(num_edges), strict=True):
            data.edge_attr = rows
    return graphs, [str(label) for label in labels.tolist()]


def _read(files: TUFiles, kind: str, dtype: Any, columns: int | None = None) -> Tensor:
    """Read one file as a table with one row a line."""
    path = files.path(kind)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input contained no data")
        # Older numpy would read 2.5 as 2 and only warn of it.
        warnings.simplefilter("error", DeprecationWarning)
        try:
            table = np.loadtxt(path, dtype=dtype, delimiter=",", ndmin=2, comments=None)
        except (ValueError, DeprecationWarning) as error:
            what = "integers" if dtype is np.int64 else "numbers"
            raise ValueError(
                f"expected {what} separated by commas in {str(path)!r}, as many in "
                f"every line; {error}"
            ) from error
    if table.size == 0 and kind in _OF_EDGES:
        table = table.reshape(0, columns or 1)
    if table.shape[1] != columns and columns is not None:
        raise ValueError(
            f"expected {columns} columns in {str(path)!r}, got {table.shape[1]}"
        )
    if table.size == 0 and kind not in _OF_EDGES:
        raise ValueError(f"expected at least one line in {str(path)!r}, got none")
    return torch.from_numpy(table)


def _read_features(
    files: TUFiles, of: str, num_rows: int, counted: str
) -> Tensor | None:
    """Attributes, then labels one-hot, of nodes or edges; None without files."""
    columns: list[Tensor] = []
    for kind, dtype in ((f"{of}_attributes", np.float32), (f"{of}_labels", np.int64)):
        path = files.path(kind)
        if not path.is_file():
            continue
        table = _read(files, kind, dtype)
        if table.size(0) != num_rows:
            raise ValueError(
                f"expected {num_rows} lines in {str(path)!r}, one for each {of} of "
                f"{files.path(counted).name}, got {table.size(0)}"
            )
        if num_rows == 0:
            continue
        if dtype is np.int64:
            check_labels(path, table)
            table -= table.min(dim=0).values
            columns.extend(one_hot(column) for column in table.unbind(dim=1))
        else:
            check_attributes(path, table)
            columns.append(table)
    return torch.cat(columns, dim=1) if columns else None
