"""Without pooling, and without the graph."""

import torch
from torch import Tensor
from torch.nn import BatchNorm1d, Linear, ReLU, Sequential
from torch_geometric.nn import SortAggregation
from torch_geometric.nn.aggr import Set2Set

from benchmarks.reproduce.graph_store import GraphBatch
from benchmarks.reproduce.networks.shape import Classifier, Shape
from pyg_diffpool import readout


class FlatGraphSAGE(Classifier):
    """The embedding GNN and the maximum over all nodes."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, 1)
        self.embed = shape.gnn(shape.in_channels)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Logits, no auxiliary loss."""
        z = self.embed(batch.x, batch.edge_index)
        read = readout(z, batch.batch, batch_size=batch.num_graphs)
        return self.logits([read]), torch.zeros(())


class FlatSet2Set(Classifier):
    """The embedding GNN and Set2Set (Vinyals et al. 2015), three rounds."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, 2)
        self.embed = shape.gnn(shape.in_channels)
        self.read = Set2Set(shape.training.hidden, processing_steps=3)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Logits, no auxiliary loss."""
        z = self.embed(batch.x, batch.edge_index)
        read = self.read(z, batch.batch, dim_size=batch.num_graphs)
        return self.logits([read]), torch.zeros(())


class FlatSortPool(Classifier):
    """The embedding GNN and the 30 nodes first in order (Zhang et al. 2018), mapped."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, 1)
        hidden = shape.training.hidden
        self.embed = shape.gnn(shape.in_channels)
        self.sort = SortAggregation(k=30)
        self.lin = Linear(30 * hidden, hidden)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Logits, no auxiliary loss."""
        z = self.embed(batch.x, batch.edge_index)
        nodes = self.sort(z, batch.batch, dim_size=batch.num_graphs)
        return self.logits([self.lin(nodes).relu()]), torch.zeros(())


class DeepSets(Classifier):
    """Two layers on each node, the sum over all nodes: edges are not looked at.

    Batch norm brings the sums, which grow with the graph, to the scale of the others'
    readouts; without it DD is not learned in as few epochs.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, 1)
        hidden = shape.training.hidden
        self.embed = Sequential(
            Linear(shape.in_channels, hidden), ReLU(), Linear(hidden, hidden), ReLU()
        )
        self.norm = BatchNorm1d(hidden)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Logits, no auxiliary loss."""
        z = self.embed(batch.x)
        read = readout(z, batch.batch, batch_size=batch.num_graphs, reduce="sum")
        return self.logits([self.norm(read)]), torch.zeros(())
