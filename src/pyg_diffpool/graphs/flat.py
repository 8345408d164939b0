"""The sparse form, as PyG's loader yields it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import Adj

from pyg_diffpool import _checks
from pyg_diffpool.adjacency import to_edges
from pyg_diffpool.graphs.base import Graph
from pyg_diffpool.graphs.cached import cached_graph
from pyg_diffpool.ops import (
    SparseGraph,
    make_graph,
    sorted_graph,
    spmm,
    summed_graph,
)
from pyg_diffpool.ops.lazy import lazy
from pyg_diffpool.padding import batch_pointer


@dataclass(frozen=True)
class FlatGraph(Graph):
    """PyG's sparse form; sums are sparse products over one shared adjacency."""

    edge_index: Tensor  # [2, E], as the caller gave it
    edge_weight: Tensor | None  # [E]
    sparse: SparseGraph
    batch: Tensor  # [N], the graph of each node
    edge_attr: Tensor | None  # [E, D], as the caller gave it
    edge_mask: Tensor | None = field(default=None, kw_only=True)  # [E], in the weights

    def neighbor_sum(self, x: Tensor, flow: str) -> Tensor:
        """By a CSR product."""
        graph = self.sparse
        if flow == "source_to_target":
            graph = graph.transpose
        return spmm(graph, graph.weight, x)

    def _degree(self, into: bool) -> Tensor:
        graph = self.sparse
        node = graph.col if into else graph.row
        weight = torch.ones_like(node, dtype=torch.float)
        if graph.weight is not None:
            weight = graph.weight
        out = weight.new_zeros(graph.num_nodes).index_add(0, node, weight)
        return out.unsqueeze(-1)

    @lazy
    def has_loop(self) -> Tensor:
        """Whether there is an edge, of any weight, from each node to itself."""
        row, n = self.sparse.row, self.sparse.num_nodes
        loops = (row == self.sparse.col).long()
        return loops.new_zeros(n).index_add(0, row, loops) > 0

    @property
    def edges(self) -> tuple[Tensor, Tensor | None]:
        """As the caller gave them."""
        return self.edge_index, self.edge_weight

    @property
    def edge_features(self) -> Tensor | None:
        """As the caller gave them."""
        return self.edge_attr

    @property
    def batch_size(self) -> int:
        """Number of graphs."""
        return self.sparse.ptr.numel() - 1

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.sparse.num_nodes

    @property
    def max_num_nodes(self) -> Tensor:
        """Nodes of the largest graph, `[]`."""
        return self.sizes.max()

    @lazy
    def sizes(self) -> Tensor:
        """Nodes of each graph, `[B]`."""
        return self.sparse.ptr.diff()

    def weighted(self, factor: Tensor) -> "FlatGraph":
        """The graph with every edge weight multiplied by a factor, `[E]`."""
        old, weight = self.sparse, self.edge_weight
        weight = factor if weight is None else factor * weight
        edges, _ = to_edges(self.edge_index)
        sparse = make_graph(edges, weight, old.ptr, old.num_nodes)
        fields = (self.edge_index, weight, sparse, self.batch, self.edge_attr)
        return FlatGraph(*fields, edge_mask=factor)


def flat_graph(
    x: Tensor,  # [N, C]
    adj: Adj,
    edge_weight: Tensor | None,  # [E]
    batch: Tensor | None,  # [N]
    batch_size: int | None,
    check: bool,
    edge_attr: Tensor | None = None,  # [E, D]
) -> FlatGraph:
    """A sparse mini-batch, checked and sorted, for all that is to be done with it."""
    _checks.check_float("x", x, (2,))
    _checks.check_edge_list(adj, edge_attr)
    _checks.check_square(adj, x.size(0))
    edge_index, edge_weight = to_edges(adj, edge_weight)
    visible = _checks.values_visible(x, check)
    _checks.check_flat(x, edge_index, edge_weight, batch, batch_size, visible)
    _checks.check_edge_attr(edge_attr, x, (edge_index.size(1),))
    ptr = batch_pointer(batch, batch_size, x)
    if batch is None:
        batch = edge_index.new_zeros(x.size(0))
    n, sparse = x.size(0), None
    if isinstance(adj, EdgeIndex) and adj.is_sorted and edge_attr is None:
        if visible:
            _checks.check_range(edge_index, n)
        sparse = cached_graph(adj, edge_weight, ptr, n)
    if sparse is None:
        row, col = edge_index
        sparse = sorted_graph(row, col, edge_weight, ptr, n)
    if sparse is None:
        if visible:
            _checks.check_range(edge_index, n)
        sparse = summed_graph(edge_index, edge_weight, ptr, n)
    if visible and not sparse.stays_within(batch):
        _checks.check_range(edge_index, n)
        _checks.check_same_graph(edge_index, batch)
    if isinstance(adj, EdgeIndex) and adj.sparse_size() == (n, n):
        edge_index = adj  # so that layers, too, use what it has cached
    return FlatGraph(edge_index, edge_weight, sparse, batch, edge_attr)
