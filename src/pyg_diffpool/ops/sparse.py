r"""The sparse backend: no tensor of size `M x M`, and no padding.

With :math:`Y = A S`, a sparse product, one ragged product gives all there is:

.. math:: S^{\top} [\, Z \mid Y \mid S \,] = [\, X' \mid A' \mid G \,]

where :math:`G = S^{\top} S` serves the link prediction loss. Work and memory grow with
`E + N`.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyg_diffpool.ops.compiled import compiled_sparse_pool, compiled_sparse_square
from pyg_diffpool.ops.gradients import Gradients, plain_gradients, without_autocast
from pyg_diffpool.ops.graph import SparseGraph
from pyg_diffpool.ops.pooled import Pooled
from pyg_diffpool.ops.ragged import contract
from pyg_diffpool.ops.sparse_kernel import (
    Needs,
    pool_backward_kernel,
    pool_kernel,
    square_kernel,
)
from pyg_diffpool.ops.spmm import spmm


def sparse_pool(
    x: Tensor,  # [N, C]
    graph: SparseGraph,
    s: Tensor,  # [N, K], rows sum to 1 or are 0
) -> Pooled:
    """Pool every graph of the mini-batch."""
    if torch.compiler.is_compiling():
        return compiled_sparse_pool(x, graph, s)
    out = _SparsePool.apply(x, graph.weight, s, graph)
    return Pooled(*out)


def sparse_square(graph: SparseGraph, s: Tensor) -> Tensor:
    r""":math:`\|A - SS^\top\|_F^2` with every product in float64, `[]`, no gradient."""
    if torch.compiler.is_compiling():
        return compiled_sparse_square(graph, s)
    return square_kernel(graph, s.detach())


def plain_sparse_pool(
    graph: SparseGraph, x: Tensor, weight: Tensor | None, s: Tensor
) -> Pooled:
    """`sparse_pool` as it is defined, of operations with gradients of their own."""
    (c, k), y = (x.size(1), s.size(1)), spmm(graph, weight, s)
    out = contract(s, torch.cat([x, y, s], 1), graph.ptr)
    return Pooled(*out.split([c, k, k], 2))


class _SparsePool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, s: Tensor, graph: SparseGraph
    ) -> Pooled:
        pooled, buffer = pool_kernel(x, graph, s)
        ctx.graph = graph
        ctx.save_for_backward(x, weight, s, buffer, graph.row, graph.col)
        return pooled

    @staticmethod
    @without_autocast
    def backward(ctx: Any, *grads: Tensor) -> Gradients:
        *inputs, buffer, _, _ = ctx.saved_tensors
        needs = Needs(*ctx.needs_input_grad[:3])
        if torch.is_grad_enabled():
            plain = partial(plain_sparse_pool, ctx.graph)
            return *plain_gradients(plain, inputs, needs, grads), None
        found = pool_backward_kernel(ctx.graph, buffer, Pooled(*grads), needs)
        out_x, out_weight, out_s = found
        if out_weight is not None:
            out_weight = out_weight.to(inputs[1].dtype)
        return out_x, out_weight, out_s, None
