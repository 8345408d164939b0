r"""The sparse backend: no tensor of size `M x M`, and no padding.

With :math:`Y = A S`, a sparse product, one ragged product gives all there is:

.. math:: S^{\top} [\, Z \mid Y \mid S \,] = [\, X' \mid A' \mid G \,]

where :math:`G = S^{\top} S` serves the link prediction loss. Work and memory grow with
`E + N`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyg_diffpool.ops.compiled import compiled_sparse_pool, compiled_sparse_square
from pyg_diffpool.ops.graph import SparseGraph, spmm
from pyg_diffpool.ops.pooled import Pooled
from pyg_diffpool.ops.ragged import contract
from pyg_diffpool.ops.sparse_kernel import (
    Needs,
    pool_backward_kernel,
    pool_kernel,
    square_kernel,
)


def sparse_pool(
    x: Tensor,  # [N, C]
    graph: SparseGraph,
    s: Tensor,  # [N, K], rows sum to 1 or are 0
) -> Pooled:
    """Pool every graph of the mini-batch."""
    if torch.compiler.is_compiling():
        return compiled_sparse_pool(x, graph, s)
    out = _SparsePool.apply(x, graph, graph.weight, s)  # type: ignore[no-untyped-call]
    return Pooled(*out)


def sparse_square(graph: SparseGraph, s: Tensor) -> Tensor:
    r""":math:`\|A - SS^\top\|_F^2` with every product in float64, `[]`, no gradient."""
    if torch.compiler.is_compiling():
        return compiled_sparse_square(graph, s)
    return square_kernel(graph, s.detach())


def plain_sparse_pool(
    x: Tensor, graph: SparseGraph, weight: Tensor | None, s: Tensor
) -> Pooled:
    """`sparse_pool` as it is defined, of operations with gradients of their own."""
    (c, k), y = (x.size(1), s.size(1)), spmm(graph, weight, s)
    out = contract(s, torch.cat([x, y, s], 1), graph.ptr)
    return Pooled(*out.split([c, k, k], 2))


class _SparsePool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, graph: SparseGraph, weight: Tensor | None, s: Tensor
    ) -> tuple[Tensor, ...]:
        pooled, ctx.buffer = pool_kernel(x, graph, s)
        ctx.graph = graph
        ctx.save_for_backward(x, weight, s)
        return tuple(pooled)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, s = ctx.saved_tensors
        needs = Needs(*(ctx.needs_input_grad[i] for i in (0, 2, 3)))
        if torch.is_grad_enabled():
            found = differentiable_gradients(
                plain_sparse_pool, ctx.graph, (x, weight, s), needs, grads
            )
        else:
            found = pool_backward_kernel(ctx.graph, ctx.buffer, Pooled(*grads), needs)
        out_x, out_weight, out_s = found
        if out_weight is not None:
            out_weight = out_weight.to(weight.dtype)
        return out_x, None, out_weight, out_s


def differentiable_gradients(
    function: Callable[..., tuple[Tensor, ...]],
    graph: SparseGraph,
    inputs: tuple[Tensor, ...],
    needs: Needs,
    grads: tuple[Tensor | None, ...],
) -> tuple[Tensor | None, ...]:
    """The gradients by way of `function`, which can be differentiated once more."""
    x, weight, s = inputs
    out = [
        o
        for o, d in zip(function(x, graph, weight, s), grads, strict=True)
        if d is not None
    ]
    given = [d for d in grads if d is not None]
    wanted = [t for t, need in zip(inputs, needs, strict=True) if need]
    found = iter(
        torch.autograd.grad(out, wanted, given, create_graph=True, allow_unused=True)
    )
    return tuple(next(found) if need else None for need in needs)
