r"""Edge features pooled with their edges, both directions by hand.

.. math:: F'_{bkld} = \sum_{e = (i, j)} S_{ik} S_{jl} F_{ed}

Feature by feature this is :math:`S^\top F_d S` with :math:`F_d`, `[N, N]`, the
adjacency that has feature d for weights: a sparse product each, a ragged one for a
block of them. With the incoming gradient :math:`D_d`, backward:

.. math::
    dF_{ed} &= (S D_d)_i \cdot S_j \\
    dS &= \sum_d F_d^\top S D_d + F_d S D_d^\top

Outer products by edge, `[E, K D]`, and one ragged product over edges took 3 to 29 times
as long from 8,000 edges on with K = 16 to 64 (one thread), and their memory.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from pyg_diffpool.ops.graph import SparseGraph
from pyg_diffpool.ops.ragged import align, contract_kernel, expand_kernel

# Elements of a block of products `[N, K]` beside each other, unless one alone is more:
# blocks of four features took 0.3 to 0.5 of the time of single ones at 4e4 elements
# each and 1.5 times it at 3e6, where they fall out of the cache.
BLOCK = 2**19


class EdgeNeeds(NamedTuple):
    """Which gradients are asked for."""

    attr: bool
    s: bool


def pool_edges_kernel(
    attr: Tensor,  # [E, D], in the order of the graph's edges
    graph: SparseGraph,
    s: Tensor,  # [N, K]
) -> Tensor:
    """:math:`F'`, `[B, K, K, D]`."""
    (n, k), b, num_features = s.shape, graph.ptr.numel() - 1, attr.size(1)
    s4, values = _aligned(s), attr.t().contiguous()
    k4 = s4.size(1)
    out = s.new_empty(b, k, k, num_features)
    for block in _blocks(num_features, s4.numel()):
        y = s4.new_empty(n, k4 * len(block))
        for part, d in zip(y.split(k4, 1), block, strict=True):
            torch.mm(graph.with_values(values[d]), s4, out=part)
        pooled = contract_kernel(s4, y, graph.ptr).unflatten(2, (len(block), k4))
        out[..., block.start : block.stop] = pooled[:, :k, :, :k].transpose(2, 3)
    return out


def pool_edges_backward_kernel(
    attr: Tensor,  # [E, D]
    graph: SparseGraph,
    s: Tensor,  # [N, K]
    grad: Tensor,  # [B, K, K, D]
    needs: EdgeNeeds,
) -> tuple[Tensor | None, Tensor | None]:
    """The gradients of `attr` and of `s`, where asked for."""
    s4, values = _aligned(s), attr.t().contiguous()
    k4 = s4.size(1)
    out_attr = torch.empty_like(values) if needs.attr else None
    out_s = torch.zeros_like(s4) if needs.s else None
    for block in _blocks(attr.size(1), s4.numel()):
        d_block = grad[..., block.start : block.stop]
        back = _expand(s4, d_block, graph.ptr)
        ahead = _expand(s4, d_block.transpose(1, 2), graph.ptr) if needs.s else back
        parts = zip(block, back.split(k4, 1), ahead.split(k4, 1), strict=True)
        for d, part, part_ahead in parts:
            matrix = graph.with_values(values[d])
            if out_attr is not None:
                out_attr[d] = edge_products_kernel(matrix, part, s4)
            if out_s is not None:
                turned = graph.transpose.with_values(values[d][graph.transpose_order])
                out_s += turned @ part
                out_s += matrix @ part_ahead
    k = s.size(1)
    return (
        None if out_attr is None else out_attr.t(),
        None if out_s is None else out_s[:, :k],
    )


def edge_products_kernel(matrix: Tensor, left: Tensor, right: Tensor) -> Tensor:
    r""":math:`L_i \cdot R_j` for every entry of a CSR matrix, `[E]`.

    From 2.5 to 150 times as fast as gathering rows by edge (one thread, K = 8 to 64).
    """
    products = torch.sparse.sampled_addmm(matrix, left, right.t(), beta=0.0)
    out: Tensor = products.values()
    return out


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
    return expand_kernel(s4, grad.flatten(2), ptr)
