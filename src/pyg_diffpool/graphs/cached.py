"""An `EdgeIndex` of PyG, whose own CSR and CSC serve instead of a sort.

It sorts once for the one it is not sorted by, and keeps the result.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch_geometric import EdgeIndex

from pyg_diffpool.ops import SparseGraph, inverse, sorted_graph


def cached_graph(
    edges: EdgeIndex,  # [2, E], sorted
    edge_weight: Tensor | None,  # [E]
    ptr: Tensor,  # [B + 1]
    num_nodes: int,
) -> SparseGraph | None:
    """The graph, or `None` where edges are repeated or are not as they claim."""
    if torch.compiler.is_compiling():
        return None
    row, col = edges.as_tensor()
    if edges.is_sorted_by_row:
        graph = sorted_graph(row, col, edge_weight, ptr, num_nodes)
        return graph and replace(graph, by_target=lambda: _order(edges.get_csc()))
    if sorted_graph(col, row, None, ptr, num_nodes) is None:
        return None
    order = _order(edges.get_csr())
    weight = None if edge_weight is None else edge_weight[order]
    return SparseGraph(
        row[order],
        col[order],
        weight,
        ptr,
        num_nodes,
        by_target=lambda: inverse(order),
        columns_ascend=False,
    )


def _order(compressed: tuple[tuple[Tensor, Tensor], Tensor | None]) -> Tensor:
    (_, _), order = compressed
    assert order is not None  # of the form that the edges do not stand in
    return order
