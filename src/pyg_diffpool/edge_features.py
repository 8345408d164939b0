r"""Edge features brought to the clusters by the assignment that pools the nodes.

Both reductions agree over levels: pooling by :math:`S_1`, then by :math:`S_2`, is
pooling once by :math:`S_1 S_2`.
"""

import torch
from torch import Tensor

from pyg_diffpool import _checks
from pyg_diffpool.graphs import FlatGraph, PaddedGraph
from pyg_diffpool.ops import padded_pool_edges, pool_edges
from pyg_diffpool.options import EdgeReduce

# Pooled weights below it are sums of products that have underflowed in float32.
SMALLEST_WEIGHT = 1e-30


def pool_flat_edges(
    graph: FlatGraph,
    s: Tensor,  # [N, K]
    pooled_adj: Tensor,  # [B, K, K]
    reduce: EdgeReduce,
    visible: bool,
) -> Tensor | None:
    """Those of an edge list, `[B, K, K, D]`, on either backend without padding."""
    attr, weight = graph.edge_attr, graph.edge_mask
    if attr is None:
        return None
    dtype = torch.promote_types(s.dtype, torch.float)
    attr = attr.to(dtype)
    if reduce == "mean":
        weight = graph.edge_weight
        if visible and weight is not None:
            _checks.check_no_negative_weight("edge_weight", weight)
    if weight is not None:
        attr = attr * weight.to(dtype).unsqueeze(-1)
    if graph.sparse.order is not None:
        attr = attr.index_select(0, graph.sparse.order)
    out = pool_edges(attr, graph.sparse, s.to(dtype))
    return out if reduce == "sum" else _divide(out, pooled_adj)


def pool_padded_edges(
    graph: PaddedGraph,
    s: Tensor,  # [B, M, K]
    pooled_adj: Tensor,  # [B, K, K]
    reduce: EdgeReduce,
    visible: bool,
) -> Tensor | None:
    """Those of dense blocks, `[B, K, K, D]`."""
    attr = graph.edge_attr
    if attr is None:
        return None
    dtype = torch.promote_types(s.dtype, torch.float)
    attr = attr.to(dtype)
    if reduce == "mean":
        if visible:
            _checks.check_no_negative_weight("adj", graph.adj)
        attr = attr * graph.adj.to(dtype).unsqueeze(-1)
    out = padded_pool_edges(attr, s.to(dtype))
    return out if reduce == "sum" else _divide(out, pooled_adj)


def _divide(total: Tensor, weight: Tensor) -> Tensor:
    """By the pooled weights, `[B, K, K]`; 0 where there is none."""
    weight = weight.to(total.dtype).unsqueeze(-1)
    linked = weight > SMALLEST_WEIGHT
    return torch.where(linked, total / torch.where(linked, weight, 1.0), 0.0)
