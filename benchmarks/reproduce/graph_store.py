"""A whole data set as a few tensors, from which mini-batches are cut quickly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data


@dataclass(frozen=True)
class GraphBatch:
    """A mini-batch as models read it."""

    x: Tensor  # [N, C]
    edge_index: Tensor  # [2, E]
    batch: Tensor  # [N]
    y: Tensor  # [B] or [B, T]
    num_graphs: int
    clusters: Tensor | None = None  # [N, L]


@dataclass(frozen=True)
class GraphStore:
    """All graphs of a set, collated once.

    Attributes:
        x: Features of all nodes.
        edge_index: Edges of all graphs, numbered within each graph.
        y: Targets of the graphs.
        nodes: Where each graph's nodes start, and the end.
        edges: The same for its edges.
        clusters: Given clusters of each node for each level, or `None`.
    """

    x: Tensor  # [N, C]
    edge_index: Tensor  # [2, E]
    y: Tensor  # [B] or [B, T]
    nodes: Tensor  # [B + 1]
    edges: Tensor  # [B + 1]
    clusters: Tensor | None = None  # [N, L]

    @classmethod
    def of(cls, graphs: Sequence[Data]) -> "GraphStore":
        """Collate; every graph needs `x`, `edge_index` and `y` with one row."""
        clusters = None
        if "clusters" in graphs[0]:
            clusters = torch.cat([graph.clusters for graph in graphs])
        return cls(
            torch.cat([graph.x for graph in graphs]),
            torch.cat([graph.edge_index for graph in graphs], 1),
            torch.cat([graph.y for graph in graphs]),
            _starts([graph.num_nodes for graph in graphs]),
            _starts([graph.num_edges for graph in graphs]),
            clusters,
        )

    def __len__(self) -> int:
        return self.y.size(0)

    @property
    def sizes(self) -> Tensor:
        """Nodes of each graph, `[B]`."""
        return self.nodes.diff()

    def take(
        self,
        graphs: Tensor,  # [B']
    ) -> GraphBatch:
        """The mini-batch of these graphs, in this order."""
        sizes = self.sizes[graphs]
        batch = torch.arange(graphs.numel()).repeat_interleave(sizes)
        rows = _ranges(self.nodes[graphs], sizes)
        num_edges = self.edges.diff()[graphs]
        shift = (sizes.cumsum(0) - sizes).repeat_interleave(num_edges)
        columns = _ranges(self.edges[graphs], num_edges)
        return GraphBatch(
            self.x[rows],
            self.edge_index[:, columns] + shift,
            batch,
            self.y[graphs],
            graphs.numel(),
            None if self.clusters is None else self.clusters[rows],
        )

    def node_rows(
        self,
        graphs: Tensor,  # [B']
    ) -> Tensor:
        """The features of all nodes of these graphs."""
        return self.x[_ranges(self.nodes[graphs], self.sizes[graphs])]

    def batches(
        self,
        graphs: Tensor,  # [B']
        batch_size: int,
        generator: torch.Generator | None = None,
    ) -> Iterator[GraphBatch]:
        """All graphs in mini-batches, shuffled if there is a generator.

        Of shuffled graphs a rest of one is joined to the batch before, as batch norm
        needs more.
        """
        if generator is None:
            parts = graphs.split(batch_size)
        else:
            shuffled = graphs[torch.randperm(graphs.numel(), generator=generator)]
            parts = shuffled.split(batch_size)
            if len(parts) > 1 and parts[-1].numel() == 1:
                parts = (*parts[:-2], torch.cat(parts[-2:]))
        return map(self.take, parts)


def _starts(counts: Sequence[int]) -> Tensor:
    return torch.tensor([0, *counts]).cumsum(0)


def _ranges(
    starts: Tensor,  # [B]
    lengths: Tensor,  # [B]
) -> Tensor:
    """All of `starts[i], ..., starts[i] + lengths[i] - 1`, one after the other."""
    shift = (starts - lengths.cumsum(0) + lengths).repeat_interleave(lengths)
    return torch.arange(shift.numel()) + shift
