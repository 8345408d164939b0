"""From edges as they come to the sparse adjacency."""

import torch
from torch import Tensor

from pyg_diffpool.ops import device
from pyg_diffpool.ops.ascent import ascends_within, rises_between
from pyg_diffpool.ops.graph import SparseGraph


def make_graph(
    edge_index: Tensor,  # [2, E]
    edge_weight: Tensor | None,  # [E]
    ptr: Tensor,  # [B + 1]
    num_nodes: int,
) -> SparseGraph:
    """Sort the edges by row and sum repeated ones; sorted edges pass through as is."""
    row, col = edge_index
    graph = sorted_graph(row, col, edge_weight, ptr, num_nodes)
    return graph or summed_graph(edge_index, edge_weight, ptr, num_nodes)


def sorted_graph(
    row: Tensor,  # [E]
    col: Tensor,  # [E]
    edge_weight: Tensor | None,  # [E]
    ptr: Tensor,  # [B + 1]
    num_nodes: int,
) -> SparseGraph | None:
    """The graph of edges that ascend strictly, sources in range; `None` for others.

    Whether they do is looked at on the CPU only: on a GPU the look would wait for the
    device, and the sort is cheap.
    """
    row, col = row.contiguous(), col.contiguous()
    if not (device.is_readable(row) and ascends_within(row, num_nodes)):
        return None
    graph = SparseGraph(row, col, edge_weight, ptr, num_nodes)
    return graph if rises_between(col, graph.crow) else None


def summed_graph(
    edge_index: Tensor,  # [2, E]
    edge_weight: Tensor | None,  # [E]
    ptr: Tensor,  # [B + 1]
    num_nodes: int,
) -> SparseGraph:
    """The graph of edges in any order, repeated ones summed."""
    row, col = edge_index
    key = torch.add(col, row, alpha=num_nodes)
    key, order = torch.sort(key, stable=True)
    first = key.diff(prepend=key.new_full((1,), -1)) != 0
    if edge_weight is None:
        edge_weight = key.new_ones(key.numel(), dtype=torch.float)
    dtype = torch.promote_types(edge_weight.dtype, torch.float)  # else sums saturate
    edge_weight = edge_weight.to(dtype)
    # The sum of each run of equal pairs goes to the first edge of the run.
    run = first.cumsum(0) - 1
    summed = torch.zeros_like(edge_weight).index_add(0, run, edge_weight[order])
    weight = summed[run] * first
    row, col = row[order], col[order]
    return SparseGraph(row, col, weight, ptr, num_nodes, order=order)
