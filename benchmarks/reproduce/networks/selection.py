"""PyG's layers that keep or merge nodes, level by level."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, ModuleList
from torch_geometric.nn import ASAPooling, EdgePooling, SAGPooling, TopKPooling

from benchmarks.reproduce.graph_store import GraphBatch
from benchmarks.reproduce.networks.shape import Classifier, Shape
from pyg_diffpool import readout

Flat = tuple[Tensor, Tensor, Tensor]  # x, edge_index, batch


class SelectionNetwork(Classifier):
    """Embed, read out and select at each level; embed and read out what is left."""

    def __init__(self, shape: Shape, make: Callable[[int, float], Module]) -> None:
        super().__init__(shape, len(shape.ratios) + 1)
        self.embed = shape.embedders()
        hidden = shape.training.hidden
        self.pools = ModuleList(make(hidden, ratio) for ratio in shape.ratios)
        self.last = shape.gnn(hidden)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Logits, no auxiliary loss."""
        x, edge_index, index = batch.x, batch.edge_index, batch.batch
        read = []
        for embed, pool in zip(self.embed, self.pools, strict=True):
            x = embed(x, edge_index)
            read.append(readout(x, index, batch_size=batch.num_graphs))
            x, edge_index, index = pool(x, edge_index, index)
        x = self.last(x, edge_index)
        read.append(readout(x, index, batch_size=batch.num_graphs))
        return self.logits(read), torch.zeros(())


class Select(Module):
    """A pooling layer reduced to nodes, edges and mini-batch.

    ASAP's edge weights are dropped, since the embedding layers of the flat graph have
    none.
    """

    def __init__(self, layer: Any, takes_ratio: bool = True) -> None:
        super().__init__()
        self.layer = layer
        self.takes_ratio = takes_ratio

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Flat:
        """The smaller mini-batch."""
        if not self.takes_ratio:
            return _sorted(*self.layer(x, edge_index, batch)[:3])
        out = self.layer(x, edge_index, batch=batch)
        return out[0], out[1], out[3]


def _sorted(x: Tensor, edge_index: Tensor, batch: Tensor) -> Flat:
    """The same mini-batch graph by graph, which `EdgePooling` does not keep."""
    order = batch.argsort(stable=True)
    number = torch.empty_like(order)
    number[order] = torch.arange(order.numel())
    return x[order], number[edge_index], batch[order]


def top_k(channels: int, ratio: float) -> Module:
    """Gao and Ji 2019."""
    return Select(TopKPooling(channels, ratio))


def sag(channels: int, ratio: float) -> Module:
    """Lee et al. 2019."""
    return Select(SAGPooling(channels, ratio))


def asap(channels: int, ratio: float) -> Module:
    """Ranjan et al. 2020."""
    return Select(ASAPooling(channels, ratio))


def edge_pool(channels: int, ratio: float) -> Module:  # noqa: ARG001
    """Diehl 2019; it halves, whatever the ratio."""
    return Select(EdgePooling(channels), takes_ratio=False)
