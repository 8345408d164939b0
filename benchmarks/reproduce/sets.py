"""TU sets: features that all methods see, given clusters, folds of the protocols."""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.index import index2ptr
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import (
    coalesce,
    degree,
    one_hot,
    remove_self_loops,
    scatter,
    to_scipy_sparse_matrix,
    to_undirected,
)

from pyg_diffpool._extras import require_extra
from pyg_diffpool.train.sets import load_dataset
from pyg_diffpool.train.splits import Split, fold_split, split_from_file

PAPER_FOLDS = Path(__file__).with_name("paper_folds.json")
"""The fold of each graph, a digit; the published table rests on these."""

FAIR_FILES = {"PROTEINS": "PROTEINS_full"}


class AbsentSetError(FileNotFoundError):
    """A set is not there; the text says how to get it."""


class Graphs(InMemoryDataset):
    """A set of the graphs given."""

    def __init__(self, graphs: Iterable[Data]) -> None:
        super().__init__()
        self.data, self.slices = self.collate([*graphs])


@lru_cache(maxsize=1)
def load_graphs(name: str, root: Path | None) -> Graphs:
    """All graphs of a set, none dropped, with the features of `with_features`.

    They are in `NAME/raw` of `root`, or downloaded if it is `None`.
    """
    try:
        if root is not None and not (root / name / "raw").is_dir():
            raise ValueError(f"Expected '{root / name / 'raw'}' (got no such folder).")
        dataset = load_dataset(name, None if root is None else str(root))
    except ValueError as error:
        raise AbsentSetError(
            f"{error} Unpack https://www.chrsmrrs.com/graphkerneldatasets/{name}.zip "
            "there, or leave '--data' out, which downloads it."
        ) from error
    return Graphs(map(with_features, dataset))


def paper_fold(
    name: str,
    y: Tensor,  # [B]
    fold: int,
) -> Split:
    """One of ten: nine parts train, one validates, none is left to test on."""
    n, kept = len(y), json.loads(PAPER_FOLDS.read_text()).get(name)
    if kept is None:
        val = fold_split(y, n, fold)["test"]
    elif len(kept) == n:
        val = torch.tensor([i for i, part in enumerate(kept) if int(part) == fold])
    else:
        raise ValueError(f"Expected {len(kept)} graphs in {name} (got {n}).")
    trains = torch.ones(n, dtype=torch.bool).index_fill(0, val, 0)
    return {"train": trains.nonzero().view(-1), "val": val}


def fair_fold(folder: Path | None, name: str, num_graphs: int, fold: int) -> Split:
    """A published fold of Errica et al. 2020, from `NAME_splits.json`."""
    path = Path(folder or "DIR", f"{FAIR_FILES.get(name, name)}_splits.json")
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected the published folds in {path} (got no such file). Copy them "
            "from data_splits/ of github.com/diningphil/gnn-comparison, and say with "
            "'--splits' where they are."
        )
    return split_from_file(path, num_graphs, fold)


DEGREE_BINS = 48
"""Four to each doubling of 1 + degree; degrees from 3,444 on share the last."""


def with_features(data: Data) -> Data:
    """Node attributes, labels and log degree; or else what the structure says.

    That is the degree in bins, its logarithm, and `triangle_features`.
    """
    degrees = degree(data.edge_index[0], data.num_nodes)
    logarithm = degrees.log1p().unsqueeze(1)
    if data.x is not None:
        data.x = torch.cat([data.x, logarithm], 1)
        return data
    bins = (4 * (1 + degrees).log2()).floor().long().clamp(max=DEGREE_BINS - 1)
    triangles = triangle_features(data.edge_index, data.num_nodes)
    data.x = torch.cat([one_hot(bins, DEGREE_BINS), logarithm, triangles], 1)
    return data


def triangle_features(
    edge_index: Tensor,  # [2, E], both directions
    num_nodes: int,
) -> Tensor:
    """The clustering coefficient, and how many neighbours linked nodes share, `[n, 5]`.

    The first, the share of the pairs of neighbours that are linked, the reference code
    of Ying et al. 2018 offers too. The others are the least, mean and largest logarithm
    of 1 + common neighbours over a node's edges, and its deviation: graphs of who
    worked with whom are joined cliques, and these tell how large a node's are.
    """
    edge_index = coalesce(remove_self_loops(edge_index)[0], num_nodes=num_nodes)
    adj = to_scipy_sparse_matrix(edge_index, num_nodes=num_nodes).tocsr()
    row, paths = edge_index[0], (adj @ adj)[adj.nonzero()]
    common = torch.from_numpy(paths.A1).float()
    degrees = degree(row, num_nodes)

    def over_edges(value: Tensor, reduce: str) -> Tensor:
        out: Tensor = scatter(value, row, 0, num_nodes, reduce)
        return out

    pairs = degrees * (degrees - 1)
    clustering = over_edges(common, "sum") / pairs.clamp(min=1)
    shared = common.log1p()
    least, mean, most = (over_edges(shared, r) for r in ("min", "mean", "max"))
    variance = over_edges(shared.square(), "mean") - mean.square()
    deviation = variance.clamp(min=0).sqrt()
    return torch.stack([clustering, least, mean, most, deviation], 1)


class NestedClusters(BaseTransform):
    """Give each node its cluster at each level, for DiffPool-Det (Ying et al. 2018).

    Level by level the graph is cut into parts of about equal size with few edges
    between them, and the parts become the nodes of the next level's graph, weighted by
    the edges between them. METIS does the cutting (Karypis and Kumar 1998, package
    `pymetis`), a multilevel method as the paper's. Equal graphs get equal clusters.

    Sets `data.clusters`, int64, `[n, L]`, which `DiffPoolNet` takes as `clusters`.
    A graph with fewer than K nodes has each in a cluster of its own.
    """

    def __init__(self, num_clusters: Sequence[int]) -> None:
        require_extra("clusters")
        self.num_clusters = list(num_clusters)

    def forward(self, data: Data) -> Data:
        """Set `data.clusters`."""
        n = data.num_nodes
        edge_index = remove_self_loops(data.edge_index)[0]
        edge_index = to_undirected(edge_index, num_nodes=n)
        weight = torch.ones(edge_index.size(1), dtype=torch.long)
        cluster = torch.arange(n)
        columns = []
        for k in self.num_clusters:
            part = _cut(edge_index, weight, n, k)
            cluster, n = part[cluster], int(part.max()) + 1 if n else 0
            columns.append(cluster)
            edge_index, weight = remove_self_loops(part[edge_index], weight)
            edge_index, weight = coalesce(edge_index, weight, n)
        data.clusters = torch.stack(columns, 1)
        return data


def _cut(
    edge_index: Tensor,  # [2, E], both directions, sorted
    weight: Tensor,  # [E], int64
    n: int,
    k: int,
) -> Tensor:
    """The part of each node, numbered from 0 without gaps, `[n]`."""
    if n <= k or k == 1:
        return torch.arange(n).clamp(max=k - 1)
    pymetis: Any = import_module("pymetis")
    starts, ends = index2ptr(edge_index[0], n), edge_index[1]
    graph = pymetis.CSRAdjacency(starts.tolist(), ends.tolist())
    _, part = pymetis.part_graph(k, graph, eweights=weight.tolist())
    compact: Tensor = torch.tensor(part).unique(return_inverse=True)[1]
    return compact
