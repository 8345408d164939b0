r"""The two forms of a mini-batch: sparse, as PyG's loader yields it, and padded blocks.

PyG's sparse tensors are transposed (`adj_t`: rows are targets), its edge lists are not
(`edge_index[0]` are sources), and a dense `adj[b, i, j]` is the edge from `i` to `j`.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import Adj
from torch_geometric.utils import is_sparse, to_edge_index

from pyg_diffpool import _checks, _modes
from pyg_diffpool._graph import SparseGraph, count_pairs, group_nodes, kept, make_graph
from pyg_diffpool.padding import to_flat

# `[2, E]`, weights `[E]` or `None` where all are 1, features `[E, D]` or `None`.
EdgeList = tuple[Tensor, Tensor | None, Tensor | None]


def is_dense(adj: Adj, x: Tensor) -> bool:
    """Whether `adj` is a dense adjacency rather than an edge list or sparse tensor.

    An edge list of another dtype than int64 is no matrix over the nodes.
    """
    if not isinstance(adj, Tensor) or adj.layout != torch.strided:
        return False
    is_list = adj.dim() == 2 and adj.size(0) == 2
    is_square = is_list and adj.shape == (x.size(0), x.size(0))
    return adj.is_floating_point() and (is_square or not is_list)


def to_edges(
    adj: Any, edge_weight: Tensor | None, edge_attr: Tensor | None, x: Tensor
) -> tuple[Tensor, Tensor | None]:
    """The edge list `[2, E]` and its weights `[E]` or `None`.

    A sparse tensor always has values; ones without a gradient are no weights. They are
    read back from the device.
    """
    if is_sparse(adj):
        (row, col), value = to_edge_index(adj)
    elif isinstance(adj, Tensor):
        return adj.as_tensor() if isinstance(adj, EdgeIndex) else adj, edge_weight
    else:
        forms = "an edge list [2, E], a sparse tensor or a dense adjacency [B, M, M]"
        raise _checks.wrong(TypeError, f"'adj' to be {forms}", type(adj).__name__)
    beside = "a sparse 'adj', whose values are the weights"
    _checks.check_unused(beside, edge_weight=edge_weight)
    _checks.check_sparse((adj.size(0), adj.size(1)), value, edge_attr, x)
    unread = value.requires_grad or value.is_meta
    are_ones = not unread and not torch.compiler.is_compiling() and (value == 1).all()
    return torch.stack([col, row]), None if are_ones else value


@dataclass(eq=False)
class _Form:
    """What both forms share."""

    is_turned: bool = field(default=False, kw_only=True)  # sums run against the edges

    @kept
    def turned(self) -> Any:
        """The graph with its edges turned round, for sums."""
        return replace(self, is_turned=not self.is_turned)

    def features(self) -> dict[str, Tensor | None]:
        """The floating-point tensors that the caller gave, by name."""
        names = ("adj", "edge_weight", "edge_attr")
        return {name: getattr(self, name, None) for name in names}


@dataclass(eq=False)
class FlatGraph(_Form):
    """PyG's sparse form; sums over neighbours are sparse products."""

    edge_index: Tensor  # [2, E], as the caller gave it
    edge_weight: Tensor | None  # [E]
    edge_attr: Tensor | None  # [E, D]
    batch: Tensor  # [N], the graph of each node
    sizes: Tensor  # [B], nodes of each graph
    counts: Tensor  # [2], float64, pairs of nodes within graphs, and nodes
    sparse: SparseGraph
    edge_mask: Tensor | None = None  # [E], in the weights
    unmasked: "FlatGraph | None" = None

    @property
    def edges(self) -> EdgeList:
        """As the caller gave them, or turned round."""
        edge_index = self.edge_index.flip(0) if self.is_turned else self.edge_index
        return edge_index, self.edge_weight, self.edge_attr

    @property
    def batch_size(self) -> int:
        return self.sparse.ptr.numel() - 1

    @property
    def num_nodes(self) -> int:
        return self.batch.numel()

    @property
    def largest(self) -> Tensor:
        """Nodes of the largest graph, `[]`."""
        return self.sizes.max()

    def neighbor_sum(self, x: Tensor) -> Tensor:
        r""":math:`A^\top X`, over the edges into each node, `[N, C]`."""
        return self.sparse.mm(x, transposed=not self.is_turned)

    def neighbor_mean(self, x: Tensor) -> Tensor:
        """The sum over the degree, or over 1 where that is less, `[N, C]`."""
        return self.neighbor_sum(x) / self._divisor.to(x.dtype)

    @kept
    def _divisor(self) -> Tensor:
        return self.degree.clamp(min=1)

    @kept
    def degree(self) -> Tensor:
        """Sum of the weights of the edges into each node, `[N, 1]`, without a mask."""
        if self.unmasked is not None:
            return self.unmasked.degree
        ends = self.sparse.row if self.is_turned else self.sparse.col.long()
        given = torch.float if self.sparse.weight is None else self.sparse.weight.dtype
        wide = torch.promote_types(given, torch.float)  # sums in half would saturate
        values = self.sparse.values(wide)
        zeros = values.new_zeros(self.num_nodes)
        return zeros.index_add(0, ends, values).unsqueeze(-1)

    @property
    def has_loop(self) -> Tensor:
        """Whether there is an edge, of any weight, from each node to itself, `[N]`."""
        row = self.sparse.row
        loops = (row == self.sparse.col).long()
        return loops.new_zeros(self.num_nodes).index_add(0, row, loops) > 0

    def masked(self, mask: Tensor) -> "FlatGraph":
        """The graph with every edge weight multiplied by a factor, `[E]`."""
        weight = mask if self.edge_weight is None else mask * self.edge_weight
        dtype = torch.promote_types(weight.dtype, torch.float)
        ptr, n = self.sparse.ptr, self.num_nodes
        sparse = make_graph(self.edge_index, weight, ptr, n, dtype)
        changed: Any = {"edge_weight": weight, "edge_mask": mask, "unmasked": self}
        return replace(self, sparse=sparse, **changed)


@dataclass(eq=False)
class PaddedGraph(_Form):
    """Dense blocks with a mask, such as pooled graphs; sums are batched products."""

    given: Tensor  # [B, M, M], as the caller gave it
    mask: Tensor | None = None  # [B, M]; None is all
    edge_attr: Tensor | None = None  # [B, M, M, D]

    @kept
    def adj(self) -> Tensor:
        """The adjacencies, zeros where there is no node, `[B, M, M]`."""
        if self.mask is None:
            return self.given
        real = self.mask.unsqueeze(1) & self.mask.unsqueeze(2)
        return torch.where(real, self.given, 0.0)

    @kept
    def whole(self) -> "PaddedGraph":
        """The same blocks, in which padding is nodes without edges."""
        return PaddedGraph(self.adj, None, self.edge_attr)

    @kept
    def row_shares(self) -> tuple[Tensor, Tensor, Tensor]:
        """One over the number of nodes n, `[B * M]`, 0 in padding and for a single one.

        And whether there are several, and :math:`n / (n - 1)`, `[]`.
        """
        assert self.mask is not None
        real = self.mask.flatten().to(
            torch.promote_types(self.given.dtype, torch.float)
        )
        n = real.sum()
        rest = (n - 1).clamp(min=1)
        several = n > 1
        return real * (several / n.clamp(min=1)), several, n / rest

    def rows(self, x: Tensor) -> Tensor:
        """`[B, M, *]` to the rows of real nodes, `[R, *]`."""
        flat = x.flatten(0, 1)
        return flat if self.mask is None else flat.index_select(0, self.nodes)

    def blocks(self, rows: Tensor) -> Tensor:
        """`[R, C]` to `[B, M, C]`, zeros for padding."""
        (b, m), c = self.given.shape[:2], rows.size(-1)
        if self.mask is None:
            return rows.view(b, m, c)
        return rows.new_zeros(b * m, c).index_copy(0, self.nodes, rows).view(b, m, c)

    def zeroed(self, x: Tensor) -> Tensor:
        """`[B, M, C]` with zeros for padding."""
        mask = self.mask
        return x if mask is None else torch.where(mask.unsqueeze(-1), x, 0.0)

    @kept
    def nodes(self) -> Tensor:
        """Where the real nodes stand among the `B * M` rows, `[R]`."""
        assert self.mask is not None
        return self.mask.flatten().nonzero().squeeze(1)

    @kept
    def edges(self) -> EdgeList:
        """The non-zero entries, read back from the device."""
        x = self.adj.new_zeros(*self.adj.shape[:2], 1)
        _, edge_index, weight, _ = to_flat(x, self.adj, self.mask)
        are_ones = not self.adj.requires_grad
        are_ones = are_ones and bool(((self.adj == 0) | (self.adj == 1)).all())
        attr = None if self.edge_attr is None else self.edge_attr[self.adj != 0]
        edge_index = edge_index.flip(0) if self.is_turned else edge_index
        return edge_index, None if are_ones else weight, attr

    @property
    def batch(self) -> Tensor:
        """The graph of each node, `[R]`."""
        graph = torch.arange(self.batch_size, device=self.given.device)
        return self.rows(graph.unsqueeze(1).expand(self.given.shape[:2]))

    @property
    def batch_size(self) -> int:
        return self.given.size(0)

    @kept
    def sizes(self) -> Tensor:
        """Nodes of each graph, `[B]`."""
        if self.mask is not None:
            return self.mask.sum(1)
        (b, m, _), device = self.given.shape, self.given.device
        return torch.full((b,), m, device=device)

    @property
    def counts(self) -> Tensor:
        """Pairs of nodes within graphs, and nodes, `[2]`, float64."""
        return count_pairs(self.sizes)

    @property
    def largest(self) -> Tensor:
        """Rows of a block, padding included, `[]`."""
        return torch.full((), self.given.size(1), device=self.given.device)

    @property
    def _receiving(self) -> Tensor:
        """`[B, M, M]`, whose rows are the nodes that receive."""
        return self.adj if self.is_turned else self.adj.mT

    @kept
    def _averaging(self) -> Tensor:
        return self._receiving / self._receiving.sum(2, keepdim=True).clamp(min=1)

    def neighbor_sum(self, x: Tensor) -> Tensor:
        return self.rows(self._receiving.to(x.dtype) @ self.blocks(x))

    def neighbor_mean(self, x: Tensor) -> Tensor:
        """By a batched product; the adjacency is divided once for all layers."""
        return self.rows(self._averaging.to(x.dtype) @ self.blocks(x))

    @kept
    def degree(self) -> Tensor:
        """Sum of the weights of the edges into each node, `[R, 1]`."""
        return self.rows(self._receiving.sum(2)).unsqueeze(-1)

    @property
    def has_loop(self) -> Tensor:
        """Where the diagonals are not 0, `[R]`."""
        return self.rows(self.adj.diagonal(dim1=1, dim2=2) != 0)


MiniBatch = FlatGraph | PaddedGraph


def to_graph(
    x: Tensor,  # [N, C] or [B, M, C]
    adj: Adj,
    s: Tensor | None,
    edge_weight: Tensor | None,  # [E]
    edge_attr: Tensor | None,  # [E, D] or [B, M, M, D]
    batch: Tensor | None,  # [N]
    mask: Tensor | None,  # [B, M]
    batch_size: int | None,
    check: bool,
) -> tuple[Tensor, Any, MiniBatch]:
    """`x`, `s` and the mini-batch, checked and sorted for all that is done with it.

    A single dense graph, `x` `[M, C]` and `adj` `[M, M]`, becomes a mini-batch of one.
    """
    _checks.check_float("x", x, (2, 3))
    batch_size = _checks.optional_number("batch_size", batch_size)
    if not is_dense(adj, x):
        _checks.check_unused("an edge list", mask=mask)
        given = edge_weight, edge_attr, batch, batch_size, check
        return x, s, flat_graph(x, adj, *given)
    _checks.check_unused("a dense 'adj'", edge_weight=edge_weight, batch=batch)
    if x.dim() == adj.dim() == 2:
        _checks.check_tensors(s=s, edge_attr=edge_attr)
        x, adj = x.unsqueeze(0), adj.unsqueeze(0)
        s, edge_attr = (t if t is None else t.unsqueeze(0) for t in (s, edge_attr))
    if batch_size not in (None, x.size(0)):
        what = f"no 'batch_size' beside padded 'x', or B = {x.size(0)}"
        raise _checks.wrong(ValueError, what, batch_size)
    return x, s, padded_graph(x, adj, mask, edge_attr)


def flat_graph(
    x: Tensor,  # [N, C]
    adj: Adj,
    edge_weight: Tensor | None = None,  # [E]
    edge_attr: Tensor | None = None,  # [E, D]
    batch: Tensor | None = None,  # [N]
    batch_size: int | None = None,
    check: bool = False,
) -> FlatGraph:
    """A sparse mini-batch."""
    _checks.check_nodes(x, batch, batch_size, check)
    edge_index, edge_weight = to_edges(adj, edge_weight, edge_attr, x)
    _checks.check_edges(edge_index, edge_weight, x)
    _checks.check_edge_attr(edge_attr, x, (edge_index.size(1),))
    n, groups = x.size(0), group_nodes(batch, batch_size, x)
    batch = edge_index.new_zeros(n) if batch is None else batch
    dtype = torch.promote_types(x.dtype, torch.float)
    sparse = make_graph(edge_index, edge_weight, groups.ptr, n, dtype, batch)
    if _modes.may_check_values(x, check) and not sparse.stays_within(batch):
        _checks.check_same_graph(edge_index, batch)
    if isinstance(adj, EdgeIndex) and adj.sparse_size() == (n, n):
        edge_index = adj  # so that layers, too, use what it has cached
    nodes = batch, groups.sizes, groups.counts
    return FlatGraph(edge_index, edge_weight, edge_attr, *nodes, sparse)


def padded_graph(
    x: Tensor,  # [B, M, C]
    adj: Tensor,  # [B, M, M]
    mask: Tensor | None,  # [B, M]
    edge_attr: Tensor | None = None,  # [B, M, M, D]
) -> PaddedGraph:
    """A padded mini-batch; a mask seen to hide nothing is dropped."""
    _checks.check_padded(x, adj, mask)
    _checks.check_edge_attr(edge_attr, x, tuple(adj.shape))
    if mask is None or (_modes.may_read_values(mask) and bool(mask.all())):
        return PaddedGraph(adj, None, edge_attr)
    if edge_attr is not None:
        apart = ~(mask.unsqueeze(1) & mask.unsqueeze(2))
        edge_attr = edge_attr.masked_fill(apart.unsqueeze(-1), 0)
    return PaddedGraph(adj, mask, edge_attr)
