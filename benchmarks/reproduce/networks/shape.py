"""The sizes that all networks of a set share."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Module, ModuleList
from torch_geometric.nn import MLP, GraphSAGE
from torch_geometric.nn.models.basic_gnn import BasicGNN

from benchmarks.reproduce.graph_store import GraphStore
from benchmarks.reproduce.settings import Training
from pyg_diffpool.models import NodeBatchNorm


@dataclass(frozen=True)
class Shape:
    """Widths, numbers of clusters, and how large graphs are."""

    in_channels: int
    classes: int
    mean_nodes: float
    training: Training

    @classmethod
    def of(cls, store: GraphStore, training: Training) -> "Shape":
        """From the set."""
        mean = float(store.sizes.float().mean())
        return cls(store.x.size(1), int(store.y.max()) + 1, mean, training)

    @property
    def ratios(self) -> list[float]:
        """The share of nodes that selections keep, to leave K of an average graph."""
        sizes = [self.mean_nodes, *self.training.clusters]
        pairs = zip(sizes[1:], sizes[:-1], strict=True)
        return [min(1.0, k / n) for k, n in pairs]

    @property
    def widths(self) -> list[int]:
        """Width of the features before each level."""
        further = len(self.training.clusters) - 1
        return [self.in_channels, *[self.training.hidden] * further]

    def gnn(self, in_channels: int, out_channels: int | None = None) -> BasicGNN:
        """The GNN that all methods embed and assign with."""
        own = self.training
        return GraphSAGE(
            in_channels,
            own.hidden,
            own.layers,
            own.hidden if out_channels is None else out_channels,
            dropout=own.dropout,
            norm=NodeBatchNorm(own.hidden),
            act_first=True,
            jk="cat",
            normalize=True,
        )

    def embedders(self) -> ModuleList:
        """The embedding GNN of each level."""
        return ModuleList(self.gnn(width) for width in self.widths)

    def classifier(self, num_read: int) -> MLP:
        """From the readouts joined to logits."""
        hidden, dropout = self.training.hidden, self.training.dropout
        channels = [num_read * hidden, hidden, self.classes]
        return MLP(channels, norm=None, dropout=dropout)


class Classifier(Module):
    """What networks end in: readouts joined, an MLP."""

    def __init__(self, shape: Shape, num_read: int) -> None:
        super().__init__()
        self.classifier = shape.classifier(num_read)

    def logits(self, read: list[Tensor]) -> Tensor:
        """`[B, classes]`."""
        out: Tensor = self.classifier(torch.cat(read, -1))
        return out
