"""The functions of the Python standard library as graphs, without a download."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset

from pyg_diffpool._files import save_whole
from pyg_diffpool.datasets._cache import (
    cache_folder,
    load_if_whole,
    pack,
    unpack,
)
from pyg_diffpool.datasets.encoding import MAX_DEPTH
from pyg_diffpool.datasets.function_graphs import (
    UNLABELLED,
    FunctionGraphs,
    read_function_graphs,
)
from pyg_diffpool.datasets.python_sources import (
    fingerprint,
    source_files,
    standard_library,
)

_FORMAT = "1"
_KEYS = frozenset({"data", "slices", "types", "attributes", "classes", "modules"})


class PythonFunctions(InMemoryDataset):
    r"""The functions of the standard library of the running interpreter.

    One graph is one function: its syntax tree in the layout of ogbg-code2 (`Hu et
    al. 2020 <https://arxiv.org/abs/2005.00687>`_) with the function's own name
    masked out. The task is to say the first word of the name (``init``, ``get``,
    ``set``, ...). Made from the source files at hand, once, and then read from the
    cache; a new interpreter makes its own file.

    All functions outside test folders are taken, methods and nested functions
    included. On CPython 3.11.7 these are 16,539 graphs of 3 to 2,511 nodes and
    1,109,598 nodes in all. The 20 most frequent first words are the classes; 5,555
    functions have one of them, the others have ``y = -100``, which
    :func:`torch.nn.functional.cross_entropy` ignores, and are left out with
    ``labelled_only=True``.

    Each graph of n nodes has ``x`` ``[n, 2]`` (type, attribute), ``node_depth``
    ``[n, 1]`` (at most ``max_depth``), ``node_is_attributed`` ``[n, 1]``,
    ``node_dfs_order`` ``[n, 1]``, ``edge_index`` ``[2, E]`` and ``edge_attr``
    ``[E, 2]`` (see :func:`~pyg_diffpool.datasets.encoding.tree_edges`), ``y``
    ``[1]``, ``name_tokens`` (all words of the name, for sequence prediction),
    ``module`` ``[1]`` and ``duplicate_group`` ``[1]``: functions with equal graphs
    have equal numbers, so that a split can keep them together.

    Args:
        root: Folder of the cache file. (default: ``PythonFunctions`` in the user's
            cache folder, ``$XDG_CACHE_HOME/pyg_diffpool``)
        transform: Called on every graph at each access. (default: None)
        pre_transform: Called on every graph before it is cached. (default: None)
        pre_filter: Says which graphs to cache. (default: None)
        force_reload: Build the cache file even if there is one. (default: False)
        source: Folder of Python files to use instead of the standard library; its
            test folders are skipped as well. (default: None)
        labelled_only: Leave out the functions without a class. (default: False)

    Attributes:
        class_names: The word of every class, the most frequent first.
        type_vocabulary: The name of every node type.
        attribute_vocabulary: The text of every node attribute.
        module_names: The dotted name of every module.
        max_depth: The largest ``node_depth``, 20.

    Raises:
        ValueError: If ``source`` holds no Python file, no file holds a function, or
            ``pre_filter`` leaves none.

    Example:
        .. code-block:: python

            dataset = PythonFunctions(labelled_only=True)
            print(dataset[0].name_tokens, dataset.class_names[dataset[0].y])
    """

    max_depth: int = MAX_DEPTH

    def __init__(
        self,
        root: str | Path | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        force_reload: bool = False,
        *,
        source: str | Path | None = None,
        labelled_only: bool = False,
    ) -> None:
        folder = standard_library() if source is None else Path(source)
        files = source_files(folder)
        settings = (_FORMAT, _describe(pre_transform), _describe(pre_filter))
        self._file_name = fingerprint(folder, files, *settings) + ".pt"
        root = cache_folder() / "PythonFunctions" if root is None else root
        super().__init__(
            str(root), transform, pre_transform, pre_filter, force_reload=force_reload
        )
        path = Path(self.processed_paths[0])
        content = None if force_reload else load_if_whole(path, _KEYS)
        if content is None:
            content = _collated(
                read_function_graphs(folder, files), pre_filter, pre_transform
            )
            save_whole(content, path)
        self._fill(content)
        if labelled_only:
            self._indices = _labelled(self._data.y)

    def _fill(self, content: dict[str, Any]) -> None:
        self.data = unpack(content["data"])
        self.slices = content["slices"]
        self.type_vocabulary: list[str] = content["types"]
        self.attribute_vocabulary: list[str] = content["attributes"]
        self.class_names: list[str] = content["classes"]
        self.module_names: list[str] = content["modules"]

    @property
    def processed_file_names(self) -> list[str]:
        """Name of the cache file, one for each interpreter and set of sources."""
        return [self._file_name]

    @property
    def num_classes(self) -> int:
        """Number of classes, 20, or fewer if there are fewer first words."""
        return len(self.class_names)

    @property
    def num_node_types(self) -> int:
        """Number of node types, ``x[:, 0]`` is below it."""
        return len(self.type_vocabulary)

    @property
    def num_node_attributes(self) -> int:
        """Number of node attributes, ``x[:, 1]`` is below it."""
        return len(self.attribute_vocabulary)

    @property
    def feature_cardinalities(self) -> tuple[int, int, int]:
        """Numbers of node types, of node attributes and of depths."""
        return self.num_node_types, self.num_node_attributes, self.max_depth + 1


def _labelled(y: Tensor) -> list[int]:
    kept: list[int] = (y != UNLABELLED).nonzero().view(-1).tolist()
    return kept


def _describe(function: Callable[..., Any] | None) -> str:
    """Tell transforms apart across processes, in which addresses differ."""
    name = getattr(function, "__qualname__", None)
    text = repr(function) if name is None else f"{function.__module__}.{name}"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


def _collated(
    functions: FunctionGraphs,
    pre_filter: Callable[[Data], bool] | None,
    pre_transform: Callable[[Data], Data] | None,
) -> dict[str, Any]:
    """Return what the cache file holds."""
    graphs = [g for g in functions.graphs if pre_filter is None or pre_filter(g)]
    if not graphs:
        raise ValueError(
            f"expected at least one function to keep, 'pre_filter' refused all "
            f"{len(functions.graphs)}; loosen it"
        )
    if pre_transform is not None:
        graphs = [pre_transform(graph) for graph in graphs]
    data, slices = InMemoryDataset.collate(graphs)
    return {
        "data": pack(data),
        "slices": slices,
        "types": functions.vocabulary.types,
        "attributes": functions.vocabulary.attributes,
        "classes": functions.class_names,
        "modules": functions.module_names,
    }
