"""Functions and their names: ogbg-code2, and the local stand-in for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset

from benchmarks.reproduce.graph_store import GraphStore
from benchmarks.reproduce.names import Name, NameVocabulary
from benchmarks.reproduce.sets import AbsentSetError
from pyg_diffpool._extras import require_extra
from pyg_diffpool.datasets import (
    PythonFunctions,
    Split,
    cache_folder,
    stratified_split,
)

MAX_WORDS = 5
MAX_DEPTH = 20
CODE2_TYPES, CODE2_ATTRIBUTES = 98, 10_030


@dataclass(frozen=True)
class NameData:
    """A set whose graphs are functions and whose targets are names.

    Attributes:
        store: Graphs with `x` of type, attribute and depth, and encoded names.
        names: The whole name of each graph.
        split: Training, validation and test graphs.
        vocabulary: Of the names of training graphs.
        cardinalities: Of the columns of `x`.
    """

    store: GraphStore
    names: list[Name]
    split: Split
    vocabulary: NameVocabulary
    cardinalities: tuple[int, int, int]

    @classmethod
    def of(
        cls,
        graphs: Sequence[Data],
        names: list[Name],
        split: Split,
        cardinalities: tuple[int, int, int],
    ) -> "NameData":
        """With a vocabulary of the training graphs' names."""
        vocabulary = NameVocabulary.of(names[i] for i in split.train.tolist())
        targets = vocabulary.encode(names, MAX_WORDS)
        for graph, y in zip(graphs, targets, strict=True):
            graph.y = y.unsqueeze(0)
        store = GraphStore.of(graphs)
        return cls(store, names, split, vocabulary, cardinalities)


def load_code2(root: Path | None) -> NameData:
    """ogbg-code2 by the package `ogb`, with its split by project.

    Raises:
        AbsentSetError: If it is neither in `root` nor to be downloaded.
        MissingExtraError: If `ogb` is not installed.
    """
    require_extra("ogb")
    here = cache_folder() if root is None else root
    dataset = _ogb_dataset(here)
    parts = dataset.get_idx_split()
    split = Split(parts["train"], parts["valid"], parts["test"])
    raw = [dataset[i] for i in range(len(dataset))]
    graphs = [Data(_features(g), both_ways(g)) for g in raw]
    cardinalities = (CODE2_TYPES, CODE2_ATTRIBUTES, MAX_DEPTH + 1)
    return NameData.of(graphs, [list(g.y) for g in raw], split, cardinalities)


def load_python_functions(root: Path | None) -> NameData:
    """`PythonFunctions` with whole names, split by module.

    Every function with a name of letters or digits; no module is in two parts, and
    what is equal to a training graph is in no other part.
    """
    folder = None if root is None else root / "PythonFunctions"
    dataset = PythonFunctions(folder)
    kept = [i for i, graph in enumerate(dataset) if graph.name_tokens]
    graphs = [dataset[i] for i in kept]
    module = torch.cat([graph.module for graph in graphs])
    split = stratified_split(torch.zeros_like(module), groups=module)
    group = torch.cat([graph.duplicate_group for graph in graphs])
    seen = torch.isin(group, group[split.train])
    val, test = (part[~seen[part]] for part in (split.val, split.test))
    names = [list(graph.name_tokens) for graph in graphs]
    plain = [Data(_features(graph), graph.edge_index) for graph in graphs]
    sizes = dataset.feature_cardinalities
    return NameData.of(plain, names, Split(split.train, val, test), sizes)


LOADERS: dict[str, Callable[[Path | None], NameData]] = {
    "ogbg-code2": load_code2,
    "PythonFunctions": load_python_functions,
}


def both_ways(graph: Data) -> Tensor:
    """Tree edges, edges to the next token, and the inverse of both, `[2, E]`.

    Tokens are the attributed nodes in depth-first order, in which ogbg-code2 numbers
    the nodes.
    """
    order = graph.node_dfs_order.view(-1)
    token = (graph.node_is_attributed.view(-1) == 1).nonzero().view(-1)
    token = token[order[token].argsort()]
    forward = torch.cat([graph.edge_index, torch.stack([token[:-1], token[1:]])], 1)
    return torch.cat([forward, forward.flip(0)], 1)


def _features(graph: Data) -> Tensor:
    depth = graph.node_depth.view(-1, 1).clamp(max=MAX_DEPTH)
    return torch.cat([graph.x, depth], 1)


def _ogb_dataset(root: Path) -> InMemoryDataset:
    there = any((root / f"ogbg_code2{end}").is_dir() for end in ("", "_pyg"))
    ogb: Any = import_module("ogb.graphproppred")
    load = torch.load

    def load_trusted(*args: Any, **kwargs: Any) -> Any:
        return load(*args, **{"weights_only": False, **kwargs})

    torch.load = load_trusted  # ogb 1.3.6 relies on the default of torch < 2.6
    try:
        return ogb.PygGraphPropPredDataset("ogbg-code2", str(root))
    except (Exception, SystemExit) as error:
        if there:
            raise
        raise AbsentSetError(
            f"Expected to download 'ogbg-code2' to {root} (got {type(error).__name__}: "
            f"{error}). Unpack http://snap.stanford.edu/ogb/data/graphproppred/"
            "code2.zip there as ogbg_code2/, or say with '--data' where it is."
        ) from error
    finally:
        torch.load = load
