"""Deterministic clusters of each graph for every level, by METIS."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.index import index2ptr
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import coalesce, remove_self_loops, to_undirected

from pyg_diffpool._extras import require_extra


class NestedClusters(BaseTransform):
    """Give each node its cluster at each level, for DiffPool-Det (Ying et al. 2018).

    Level by level the graph is cut into parts of about equal size with few edges
    between them, and the parts become the nodes of the next level's graph, weighted by
    the edges between them. METIS does the cutting (Karypis and Kumar 1998, package
    `pymetis`), a multilevel method as the paper's. Equal graphs get equal clusters.

    Sets `data.clusters`, int64, `[n, L]`, which `DiffPoolNet` takes as `clusters`.

    Args:
        num_clusters: K of each level. A graph with fewer nodes has each in a cluster
            of its own.

    Raises:
        MissingExtraError: If `pymetis` is not installed.

    Example:
        >>> ring = torch.arange(8)
        >>> data = Data(edge_index=torch.stack([ring, (ring + 1) % 8]), num_nodes=8)
        >>> NestedClusters([4, 2])(data).clusters.shape
        torch.Size([8, 2])
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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_clusters})"


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
