"""A folder of text files in TUDataset's raw layout, read in place."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch_geometric.data import Data, InMemoryDataset

from pyg_diffpool._files import save_whole
from pyg_diffpool.datasets._cache import (
    cache_folder,
    load_if_whole,
    pack,
    unpack,
)
from pyg_diffpool.datasets.tu_files import TUFiles, read_tu_files

_FORMAT = "2"
_KEYS = frozenset({"data", "slices", "classes"})


class TUFolder(InMemoryDataset):
    """Graphs from a folder in TUDataset's raw layout.

    The folder, or ``raw`` within it, holds ``NAME_A.txt`` (one edge a line),
    ``NAME_graph_indicator.txt`` (the graph of every node), ``NAME_graph_labels.txt``
    and, if nodes or edges have features, ``NAME_node_attributes.txt``,
    ``NAME_node_labels.txt`` and the same of ``edge``. Nothing is downloaded, and
    nothing is written there: what was read is kept in the cache and read again when a
    file changes.

    As in :class:`torch_geometric.datasets.TUDataset` with ``use_node_attr=True`` and
    ``use_edge_attr=True``, ``x`` and ``edge_attr`` are the attributes followed by the
    labels one-hot, self-loops go, edges are sorted by row then column, none twice (the
    features of repeated ones are summed), and classes are numbered in the order of
    their labels. Unlike there, files are checked, a last line without a line break
    counts, and graphs may be without nodes or edges.

    Args:
        folder: The folder.
        root: Folder of the cache file. (default: ``TUFolder`` in the user's cache
            folder)
        transform: Called on every graph at each access. (default: None)

    Attributes:
        name: NAME.
        class_names: The label of every class, as it stands in the file.

    Raises:
        ValueError: If a file is missing or malformed.
    """

    def __init__(
        self,
        folder: str | Path,
        root: str | Path | None = None,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        files = TUFiles.find(Path(folder))
        self.name = files.name
        self._file_name = f"{files.name}-{_fingerprint(files)}.pt"
        root = cache_folder() / "TUFolder" if root is None else root
        super().__init__(str(root), transform)
        path = Path(self.processed_paths[0])
        content = load_if_whole(path, _KEYS)
        if content is None:
            content = _collated(files)
            save_whole(content, path)
        self.data = unpack(content["data"])
        self.slices = content["slices"]
        self.class_names: list[str] = content["classes"]

    @property
    def processed_file_names(self) -> list[str]:
        """Name of the cache file, one for each state of the folder."""
        return [self._file_name]

    @property
    def num_classes(self) -> int:
        """Number of different labels."""
        return len(self.class_names)

    def __repr__(self) -> str:
        return f"{self.name}({len(self)})"


def _collated(files: TUFiles) -> dict[str, Any]:
    graphs, class_names = read_tu_files(files)
    data, slices = InMemoryDataset.collate(graphs)
    return {"data": pack(data), "slices": slices, "classes": class_names}


def _fingerprint(files: TUFiles) -> str:
    digest = hashlib.sha256(_FORMAT.encode())
    for path in files.present():
        state = path.stat()
        digest.update(
            f"\0{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}".encode()
        )
    return digest.hexdigest()[:12]
