"""The padded form: dense blocks with a mask, such as pooled graphs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_diffpool import _checks
from pyg_diffpool.graphs.base import Graph
from pyg_diffpool.ops import device
from pyg_diffpool.ops.lazy import lazy
from pyg_diffpool.padding import to_flat


@dataclass(frozen=True)
class PaddedGraph(Graph):
    """Dense blocks with a mask, such as pooled graphs; sums are batched products."""

    adj: Tensor  # [B, M, M]
    mask: Tensor | None  # [B, M]; None is all
    edge_attr: Tensor | None = None  # [B, M, M, D]

    def rows(self, x: Tensor) -> Tensor:
        """`[B, M, C]` to the rows of real nodes, `[R, C]`."""
        flat = x.flatten(0, 1)
        return flat if self.mask is None else flat.index_select(0, self._nodes)

    def blocks(self, rows: Tensor) -> Tensor:
        """`[R, C]` to `[B, M, C]`, zeros for padding."""
        (b, m), c = self.adj.shape[:2], rows.size(-1)
        if self.mask is None:
            return rows.view(b, m, c)
        return rows.new_zeros(b * m, c).index_copy(0, self._nodes, rows).view(b, m, c)

    @lazy
    def _nodes(self) -> Tensor:
        """Where the real nodes stand among the `B * M` rows, `[R]`."""
        assert self.mask is not None
        nodes = self.mask.flatten().nonzero().squeeze(1)
        if torch.compiler.is_compiling():  # which then need not look
            torch._check(nodes.size(0) > 0)
        return nodes

    def neighbor_sum(self, x: Tensor, flow: str) -> Tensor:
        """By a batched product."""
        adj = self.adj.transpose(1, 2) if flow == "source_to_target" else self.adj
        return self.rows(adj.to(x.dtype) @ self.blocks(x))

    def neighbor_mean(self, x: Tensor, flow: str) -> Tensor:
        """By a batched product; the adjacency is divided once for all layers."""
        to_target = flow == "source_to_target"
        adj = self._mean_in if to_target else self._mean_out
        return self.rows(adj.to(x.dtype) @ self.blocks(x))

    @lazy
    def _mean_in(self) -> Tensor:
        return (self.adj / self.adj.sum(1, keepdim=True).clamp(min=1)).transpose(1, 2)

    @lazy
    def _mean_out(self) -> Tensor:
        return self.adj / self.adj.sum(2, keepdim=True).clamp(min=1)

    def _degree(self, into: bool) -> Tensor:
        return self.rows(self.adj.sum(1 if into else 2).unsqueeze(-1))

    @property
    def has_loop(self) -> Tensor:
        """Where the diagonals are not 0."""
        diagonal = self.adj.diagonal(dim1=1, dim2=2) != 0
        return self.rows(diagonal.unsqueeze(-1)).squeeze(-1)

    @lazy
    def is_weighted(self) -> bool:
        """Whether any entry is neither 0 nor 1, read back from the device."""
        return not bool(((self.adj == 0) | (self.adj == 1)).all())

    @lazy
    def edges(self) -> tuple[Tensor, Tensor | None]:
        """The non-zero entries, read back from the device."""
        x = self.adj.new_zeros(*self.adj.shape[:2], 1)
        _, edge_index, weight, _ = to_flat(x, self.adj, self.mask)
        return edge_index, weight if self.is_weighted else None

    @lazy
    def edge_features(self) -> Tensor | None:
        """Those of the non-zero entries, read back from the device."""
        return None if self.edge_attr is None else self.edge_attr[self.adj != 0]

    @property
    def batch(self) -> Tensor:
        """The graph of each node, `[R]`."""
        b, m = self.adj.shape[:2]
        index = torch.arange(b, device=self.adj.device).view(b, 1, 1).expand(b, m, 1)
        return self.rows(index).squeeze(-1)

    @property
    def batch_size(self) -> int:
        """Number of graphs."""
        return self.adj.size(0)

    @property
    def num_nodes(self) -> int | Tensor:
        """Number of nodes R, or 1 where there is none, `[]`."""
        if self.mask is not None:
            return self.mask.sum().clamp(min=1)
        return self.adj.size(0) * self.adj.size(1)

    @property
    def max_num_nodes(self) -> int:
        """Rows of a block, padding included."""
        return self.adj.size(1)

    @property
    def sizes(self) -> Tensor:
        """Nodes of each graph, `[B]`."""
        if self.mask is not None:
            return self.mask.sum(1)
        b, m = self.adj.shape[:2]
        return torch.full((b,), m, device=self.adj.device)


def padded_graph(
    x: Tensor,  # [B, M, C]
    adj: Tensor,  # [B, M, M]
    mask: Tensor | None,  # [B, M]
    edge_attr: Tensor | None = None,  # [B, M, M, D]
) -> PaddedGraph:
    """A padded mini-batch, checked; a mask seen to hide nothing is dropped."""
    _checks.check_padded(x, adj, mask)
    _checks.check_edge_attr(edge_attr, x, tuple(adj.shape))
    if mask is None or (device.is_readable(mask) and bool(mask.all())):
        return PaddedGraph(adj, None, edge_attr)
    padding = ~mask
    apart = padding.unsqueeze(1) | padding.unsqueeze(2)
    adj = adj.masked_fill(apart, 0)
    if edge_attr is not None:
        edge_attr = edge_attr.masked_fill(apart.unsqueeze(-1), 0)
    return PaddedGraph(adj, mask, edge_attr)
