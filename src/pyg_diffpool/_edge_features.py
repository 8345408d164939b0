r"""Edge features brought to the clusters by the assignment that pools the nodes.

.. math:: F'_{bkld} = \sum_{e = (i, j)} S_{ik} S_{jl} F_{ed}

Feature by feature this is :math:`S^\top F_d S` with :math:`F_d`, `[N, N]`, the
adjacency that has feature d for weights. With the incoming gradient :math:`D_d`,

.. math::
    dF_{ed} = (S D_d)_i \cdot S_j, \qquad
    dS = \sum_d F_d^\top S D_d + F_d S D_d^\top

Pooling by :math:`S_1`, then by :math:`S_2`, is pooling once by :math:`S_1 S_2`, by sum
and by mean.
"""

from typing import Any

import torch
from torch import Tensor

from pyg_diffpool import _checks
from pyg_diffpool._minibatch import FlatGraph, MiniBatch
from pyg_diffpool._modes import Gradients, Operation, Saved, operation
from pyg_diffpool._ragged import Ragged
from pyg_diffpool._sparse import edge_products, spmm

# Pooled weights below it are sums of products that have underflowed in float32.
SMALLEST_WEIGHT = 1e-30


def pool_edge_features(
    graph: MiniBatch,
    attr: Tensor,  # [E, D] or [B, M, M, D]
    s: Tensor,  # [N, K] or [B, M, K]
    pooled_adj: Tensor,  # [B, K, K]
    reduce: str,
    may_look: bool,
) -> Tensor:
    """Those of a mini-batch, `[B, K, K, D]`."""
    mean = reduce == "mean"
    dtype = torch.promote_types(s.dtype, torch.float)
    attr, s = attr.to(dtype), s.to(dtype)
    if isinstance(graph, FlatGraph):
        name, weight = "edge_weight", graph.edge_weight if mean else graph.edge_mask
    else:
        name, weight = "adj", graph.adj if mean else None
    if weight is not None:
        if mean and may_look and bool((weight < 0).any()):
            what = f"'{name}' of at least 0 for edge_reduce='mean'"
            hint = "It weighs the mean; use edge_reduce='sum'."
            raise _checks.wrong(ValueError, what, float(weight.min()), hint)
        attr = attr * weight.to(dtype).unsqueeze(-1)
    if isinstance(graph, FlatGraph):
        sparse = graph.sparse
        if sparse.order is not None:
            attr = attr.index_select(0, sparse.order)
        out = _pool_edges(attr, s, sparse.ptr, *sparse.pattern)
    else:
        out = _pool_blocks(attr, s)
    return _divide(out, pooled_adj) if mean else out


def _pool_blocks(
    attr: Tensor,  # [B, M, M, D]
    s: Tensor,  # [B, M, K]
) -> Tensor:
    half = (s.mT @ attr.flatten(2)).unflatten(2, attr.shape[2:])  # [B, K, M, D]
    shape = half.shape[1], half.shape[3]
    pooled = s.mT @ half.transpose(1, 2).flatten(2)  # [B, K, K D], the target first
    out: Tensor = pooled.unflatten(2, shape).transpose(1, 2)
    return out


def _divide(total: Tensor, weight: Tensor) -> Tensor:
    """By the pooled weights, `[B, K, K]`; 0 where there is none."""
    weight = weight.to(total.dtype).unsqueeze(-1)
    linked = weight > SMALLEST_WEIGHT
    return torch.where(linked, total / torch.where(linked, weight, 1.0), 0.0)


class _PoolEdges(Operation):
    """:math:`F'`, `[B, K, K, D]`, of `attr` `[E, D]` in the order of the entries."""

    @staticmethod
    def forward(attr: Tensor, s: Tensor, ptr: Tensor, *indices: Any) -> Tensor:
        k = s.size(1)
        out = s.new_empty(ptr.numel() - 1, k, k, attr.size(1))
        ragged = Ragged(ptr, s.size(0))
        for d, value in enumerate(attr.t().contiguous()):
            out[..., d] = ragged.contract(s, spmm(value, s, False, *indices))
        return out

    @staticmethod
    def plain(attr: Tensor, s: Tensor, ptr: Tensor, *indices: Any) -> Tensor:
        sums = (spmm(value, s, False, *indices) for value in attr.unbind(1))
        ragged = Ragged(ptr, s.size(0))
        return torch.stack([ragged.contract(s, y) for y in sums], -1)

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        (attr, s, ptr, *indices), _, _, (grad,) = saved
        assert grad is not None
        ragged, values = Ragged(ptr, s.size(0)), attr.t().contiguous()
        d_values, d_s = torch.empty_like(values), torch.zeros_like(s)
        for d, (value, d_adj) in enumerate(zip(values, grad.unbind(-1), strict=True)):
            back, ahead = ragged.expand(s, d_adj), ragged.expand(s, d_adj.mT)
            d_values[d] = edge_products(back, s, *indices)
            d_s += spmm(value, back, True, *indices)
            d_s += spmm(value, ahead, False, *indices)
        return d_values.t(), d_s


_pool_edges = operation(_PoolEdges)
