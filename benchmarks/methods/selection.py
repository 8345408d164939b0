"""Methods that keep, or merge, nodes: other results than a soft clustering's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.nn import (
    ASAPooling,
    ClusterPooling,
    EdgePooling,
    PANPooling,
    SAGPooling,
    TopKPooling,
    graclus,
    max_pool,
)

from benchmarks.batches import PoolingBatch
from benchmarks.methods.method import Forward, Make, Method


def selection(layer: type[Any]) -> Make:
    """A layer that keeps as many nodes as DiffPool makes clusters."""

    def make(data: PoolingBatch) -> Forward:
        pool = layer(data.x.size(1), ratio=data.ratio)

        def forward() -> Sequence[Tensor]:
            return (pool(data.x, data.edge_index, batch=data.batch)[0],)

        return forward

    return make


def contraction(layer: type[Any]) -> Make:
    """A layer that merges nodes along edges, as many as come about."""

    def make(data: PoolingBatch) -> Forward:
        pool = layer(data.x.size(1))

        def forward() -> Sequence[Tensor]:
            return (pool(data.x, data.edge_index, data.batch)[0],)

        return forward

    return make


@dataclass(frozen=True)
class _Coordinates:
    """All that `PANPooling` asks of torch-sparse's matrix."""

    row: Tensor
    col: Tensor
    value: Tensor

    def coo(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.row, self.col, self.value


def pan(data: PoolingBatch) -> Forward:
    """PyG's PAN, with the adjacency as the matrix of paths."""
    pool = PANPooling(data.x.size(1), ratio=data.ratio)
    row, col = data.edge_index
    paths: Any = _Coordinates(row, col, torch.ones(row.numel()))

    def forward() -> Sequence[Tensor]:
        return (pool(data.x, paths, data.batch)[0],)

    return forward


def graclus_max_pool(data: PoolingBatch) -> Forward:
    """PyG's greedy matching and the maximum over each pair."""

    def forward() -> Sequence[Tensor]:
        cluster = graclus(data.edge_index, num_nodes=data.x.size(0))
        graph = Batch(x=data.x, edge_index=data.edge_index, batch=data.batch)
        return (max_pool(cluster, graph).x,)

    return forward


_HARD = "hard selection of nodes"

SELECTION = (
    Method(
        "PyG TopKPooling", f"{_HARD} by a learned projection", selection(TopKPooling)
    ),
    Method("PyG SAGPooling", f"{_HARD} by a GNN's score", selection(SAGPooling)),
    Method("PyG PANPooling", f"{_HARD} by a score of paths", pan),
    Method(
        "PyG ASAPooling",
        "hard selection of neighbourhoods, attention within",
        selection(ASAPooling),
    ),
    Method(
        "PyG EdgePooling",
        "merges pairs along edges, about half of the nodes stay",
        contraction(EdgePooling),
    ),
    Method(
        "PyG ClusterPooling",
        "merges along all high-scored edges, any number of nodes stays",
        contraction(ClusterPooling),
    ),
    Method(
        "PyG graclus + max_pool",
        "merges pairs by greedy matching, nothing learned",
        graclus_max_pool,
    ),
)
