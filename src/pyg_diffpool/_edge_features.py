r"""Edge features brought to the clusters by the assignment that pools the nodes.

.. math:: F'_{bkld} = \sum_{e = (i, j)} S_{ik} S_{jl} F_{ed}

Feature by feature this is :math:`S^\top F_d S` with :math:`F_d`, `[N, N]`, the
adjacency that has feature d for weights: a sparse product each, a ragged one for a
block of them. With the incoming gradient :math:`D_d`, backward:

.. math::
    dF_{ed} = (S D_d)_i \cdot S_j, \qquad
    dS = \sum_d F_d^\top S D_d + F_d S D_d^\top

Pooling by :math:`S_1`, then by :math:`S_2`, is pooling once by :math:`S_1 S_2`, by sum
and by mean.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from pyg_diffpool import _checks
from pyg_diffpool._minibatch import FlatGraph, MiniBatch
from pyg_diffpool._modes import Gradients, Operation, Saved, kernel, operation
from pyg_diffpool._ragged import align, contract, contract_tiles, expand
from pyg_diffpool._sparse import csr, edge_products, plain_spmm, rows_of

# Pooled weights below it are sums of products that have underflowed in float32.
SMALLEST_WEIGHT = 1e-30
# Elements of a block of products `[N, K]` beside each other, unless one alone is more:
# blocks of four features took 0.3 to 0.5 of the time of single ones at 4e4 elements
# each and 1.5 times it at 3e6, where they fall out of the cache.
BLOCK = 2**19


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
        if mean and may_look:
            _checks.check_no_negative_weight(name, weight)
        attr = attr * weight.to(dtype).unsqueeze(-1)
    if isinstance(graph, FlatGraph):
        order = graph.sparse.order
        attr = attr if order is None else attr.index_select(0, order)
        sparse = graph.sparse
        out = pool_edges(attr, s, sparse.ptr, *sparse.pattern())
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

    schema = (
        "pool_edges(Tensor attr, Tensor s, Tensor ptr, Tensor crow, Tensor col, "
        "Tensor crow_t, Tensor col_t, Tensor order_t) -> Tensor"
    )

    @staticmethod
    def forward(attr: Tensor, s: Tensor, *where: Tensor) -> Tensor:
        ptr, crow, col = where[:3]
        (n, k), b, num_features = s.shape, ptr.numel() - 1, attr.size(1)
        s4, values = _aligned(s), attr.t().contiguous()
        k4 = s4.size(1)
        out = s.new_empty(b, k, k, num_features)
        for block in _blocks(num_features, s4.numel()):
            y = s4.new_empty(n, k4 * len(block))
            for part, d in zip(y.split(k4, 1), block, strict=True):
                torch.mm(csr(crow, col, values[d]), s4, out=part)
            pooled = contract(s4, y, ptr).unflatten(2, (len(block), k4))
            out[..., block.start : block.stop] = pooled[:, :k, :, :k].transpose(2, 3)
        return out

    @staticmethod
    def fake(attr: Tensor, s: Tensor, ptr: Tensor, *_: Tensor) -> Tensor:
        k = s.size(1)
        return s.new_empty(ptr.numel() - 1, k, k, attr.size(1))

    @staticmethod
    def plain(attr: Tensor, s: Tensor, *where: Tensor) -> Tensor:
        ptr, crow, col = where[:3]
        ends = rows_of(crow, col), col
        sums = (plain_spmm(value, s, *ends) for value in attr.unbind(1))
        return torch.stack([contract_tiles(s, y, ptr) for y in sums], -1)

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        inputs, _, _, grads = saved
        found: Gradients = _gradients(*inputs[:2], grads[0], *inputs[2:])
        return found


pool_edges = operation(_PoolEdges)


def _fake_gradients(attr: Tensor, s: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
    return attr.new_empty(attr.shape), s.new_empty(s.shape)


@kernel(
    "pool_edges_gradients(Tensor attr, Tensor s, Tensor grad, Tensor ptr, Tensor crow, "
    "Tensor col, Tensor crow_t, Tensor col_t, Tensor order_t) -> (Tensor, Tensor)",
    _fake_gradients,
)
def _gradients(
    attr: Tensor,  # [E, D]
    s: Tensor,  # [N, K]
    grad: Tensor,  # [B, K, K, D]
    *where: Tensor,
) -> tuple[Tensor, Tensor]:
    ptr, crow, col, crow_t, col_t, order_t = where
    s4, values, k = _aligned(s), attr.t().contiguous(), s.size(1)
    out_attr, out_s = torch.empty_like(values), torch.zeros_like(s4)
    for block in _blocks(attr.size(1), s4.numel()):
        d_block = grad[..., block.start : block.stop]
        back = _expand(s4, d_block, ptr).split(s4.size(1), 1)
        ahead = _expand(s4, d_block.transpose(1, 2), ptr).split(s4.size(1), 1)
        for d, part, part_ahead in zip(block, back, ahead, strict=True):
            out_attr[d] = edge_products(part, s4, crow, col, None, None, None)
            out_s += csr(crow_t, col_t, values[d][order_t]) @ part.contiguous()
            out_s += csr(crow, col, values[d]) @ part_ahead.contiguous()
    return out_attr.t().contiguous(), out_s[:, :k].contiguous()


def _blocks(num_features: int, size: int) -> Iterator[range]:
    """The features in blocks, each at least one feature."""
    width = max(1, BLOCK // max(size, 1))
    for start in range(0, num_features, width):
        yield range(start, min(start + width, num_features))


def _aligned(s: Tensor) -> Tensor:
    return pad(s, (0, align(s.size(1), s.dtype) - s.size(1))).contiguous()


def _expand(s4: Tensor, grad: Tensor, ptr: Tensor) -> Tensor:
    """:math:`S D_d` of a block of features side by side, `[N, width K]`."""
    missing = s4.size(1) - grad.size(1)
    grad = pad(grad.transpose(2, 3), (0, missing, 0, 0, 0, missing))
    return expand(s4, grad.flatten(2), ptr)
