r"""The two forms of a mini-batch, behind one face.

Layers work on rows, one for each real node of the mini-batch, in both forms; so a
norm between two layers never sees padding. What differs is how neighbours are summed.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch_geometric.typing import Adj

from pyg_diffpool import _checks
from pyg_diffpool.adjacency import to_edges
from pyg_diffpool.ops import SparseGraph, device, make_graph, spmm
from pyg_diffpool.padding import batch_pointer, to_flat


class Graph(ABC):
    r"""A mini-batch of R real nodes with adjacency :math:`A`, edges from i to j."""

    @abstractmethod
    def neighbor_sum(self, x: Tensor, flow: str) -> Tensor:
        r""":math:`A^\top X`, or :math:`A X` for flow `"target_to_source"`, `[R, C]`."""

    @property
    @abstractmethod
    def self_loops(self) -> Tensor:
        r"""The diagonal of :math:`A`, `[R]`."""

    @property
    @abstractmethod
    def edges(self) -> tuple[Tensor, Tensor | None]:
        """Edge list `[2, E]` and weights `[E]`; `None` where all are 1."""

    @property
    @abstractmethod
    def batch(self) -> Tensor:
        """The graph of each node, `[R]`."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Number of graphs."""

    @property
    @abstractmethod
    def sizes(self) -> Tensor:
        """Nodes of each graph, `[B]`."""

    def degree(self, flow: str, dtype: torch.dtype) -> Tensor:
        """Sum of the weights of the edges over which each node receives, `[R, 1]`."""
        ones = torch.ones(self.batch.numel(), 1, dtype=dtype, device=self.batch.device)
        return self.neighbor_sum(ones, flow)


@dataclass(frozen=True)
class FlatGraph(Graph):
    """PyG's sparse form; sums are sparse products over one shared adjacency."""

    edge_index: Tensor  # [2, E], as the caller gave it
    edge_weight: Tensor | None  # [E]
    sparse: SparseGraph
    node_batch: Tensor  # [N]

    def neighbor_sum(self, x: Tensor, flow: str) -> Tensor:
        """By a CSR product."""
        graph = self.sparse
        if flow == "source_to_target":
            graph = graph.transpose
        return spmm(graph, graph.weight, x)

    @cached_property
    def self_loops(self) -> Tensor:
        """Summed over the edges that are loops."""
        graph = self.sparse
        loop = graph.row == graph.col
        weight = loop.float() if graph.weight is None else graph.weight * loop
        out = weight.new_zeros(graph.num_nodes)
        return out.index_add(0, graph.row, weight)

    @property
    def edges(self) -> tuple[Tensor, Tensor | None]:
        """As the caller gave them."""
        return self.edge_index, self.edge_weight

    @property
    def batch(self) -> Tensor:
        """As the caller gave it."""
        return self.node_batch

    @property
    def batch_size(self) -> int:
        """From the pointer."""
        return self.sizes.numel()

    @property
    def sizes(self) -> Tensor:
        """Nodes of each graph, `[B]`."""
        return self.sparse.ptr.diff()


@dataclass(frozen=True)
class PaddedGraph(Graph):
    """Dense blocks with a mask, such as pooled graphs; sums are batched products."""

    adj: Tensor  # [B, M, M]
    mask: Tensor | None  # [B, M]; None is all

    def rows(self, x: Tensor) -> Tensor:
        """`[B, M, C]` to the rows of real nodes, `[R, C]`."""
        return x.flatten(0, 1) if self.mask is None else x[self.mask]

    def blocks(self, rows: Tensor) -> Tensor:
        """`[R, C]` to `[B, M, C]`, zeros for padding."""
        shape = (*self.adj.shape[:2], rows.size(-1))
        if self.mask is None:
            return rows.view(shape)
        return rows.new_zeros(shape).index_put((self.mask,), rows)

    def neighbor_sum(self, x: Tensor, flow: str) -> Tensor:
        """By a batched product."""
        adj = self.adj.transpose(1, 2) if flow == "source_to_target" else self.adj
        return self.rows(adj.to(x.dtype) @ self.blocks(x))

    @property
    def self_loops(self) -> Tensor:
        """The diagonals of the real nodes."""
        diagonal = self.adj.diagonal(dim1=1, dim2=2)
        return self.rows(diagonal.unsqueeze(-1)).squeeze(-1)

    @cached_property
    def is_weighted(self) -> bool:
        """Whether any entry is neither 0 nor 1, read back from the device."""
        return not bool(((self.adj == 0) | (self.adj == 1)).all())

    @cached_property
    def edges(self) -> tuple[Tensor, Tensor | None]:
        """The non-zero entries, read back from the device."""
        x = self.adj.new_zeros(*self.adj.shape[:2], 1)
        _, edge_index, weight, _ = to_flat(x, self.adj, self.mask)
        return edge_index, weight if self.is_weighted else None

    @property
    def batch(self) -> Tensor:
        """From the blocks."""
        b, m = self.adj.shape[:2]
        index = torch.arange(b, device=self.adj.device).view(b, 1, 1).expand(b, m, 1)
        return self.rows(index).squeeze(-1)

    @property
    def batch_size(self) -> int:
        """The number of blocks."""
        return self.adj.size(0)

    @property
    def sizes(self) -> Tensor:
        """Nodes of each graph, `[B]`."""
        if self.mask is not None:
            return self.mask.sum(1)
        b, m = self.adj.shape[:2]
        return torch.full((b,), m, device=self.adj.device)


def flat_graph(
    x: Tensor,  # [N, C]
    adj: Adj,
    edge_weight: Tensor | None,  # [E]
    batch: Tensor | None,  # [N]
    batch_size: int | None,
    check: bool,
) -> FlatGraph:
    """A sparse mini-batch, checked and sorted, for all that is to be done with it."""
    _checks.check_float("x", x, (2,))
    edge_index, edge_weight = to_edges(adj, edge_weight)
    visible = _checks.values_visible(x, check)
    _checks.check_flat(x, edge_index, edge_weight, batch, batch_size, visible)
    ptr = batch_pointer(batch, batch_size, x)
    if batch is None:
        batch = edge_index.new_zeros(x.size(0))
    elif visible:
        _checks.check_same_graph(edge_index, batch)
    sparse = make_graph(edge_index, edge_weight, ptr, x.size(0))
    return FlatGraph(edge_index, edge_weight, sparse, batch)


def padded_graph(
    x: Tensor,  # [B, M, C]
    adj: Tensor,  # [B, M, M]
    mask: Tensor | None,  # [B, M]
) -> PaddedGraph:
    """A padded mini-batch, checked; a mask seen to hide nothing is dropped."""
    _checks.check_padded(x, adj, mask)
    if mask is None or (device.is_readable(mask) and bool(mask.all())):
        return PaddedGraph(adj, None)
    padding = ~mask
    adj = adj.masked_fill(padding.unsqueeze(1) | padding.unsqueeze(2), 0)
    return PaddedGraph(adj, mask)
