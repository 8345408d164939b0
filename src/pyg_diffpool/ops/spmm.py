r"""The product of the sparse adjacency with a dense matrix.

The kernel is torch's own, also where torch-scatter and torch-sparse are installed: on a
CPU theirs take longer at every size tried (`python -m benchmarks accel`), and on other
devices nothing has been measured. Their tensors are taken as input all the same.
"""

from typing import Any

import torch
from torch import Tensor

from pyg_diffpool.ops.compiled import compiled_spmm
from pyg_diffpool.ops.gradients import without_autocast
from pyg_diffpool.ops.graph import SparseGraph
from pyg_diffpool.ops.sparse_kernel import spmm_kernel


def spmm(graph: SparseGraph, weight: Tensor | None, x: Tensor) -> Tensor:
    r""":math:`A X`, `[N, C]`, differentiable in `x` and in `weight`.

    `weight` is `graph.weight`, given apart so that autograd sees it.
    """
    if torch.compiler.is_compiling():
        return compiled_spmm(graph, weight, x)
    out: Tensor = _SpMM.apply(graph, weight, x)
    return out


class _SpMM(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, graph: SparseGraph, weight: Tensor | None, x: Tensor
    ) -> Tensor:
        ctx.graph = graph
        ctx.save_for_backward(weight, x, graph.row, graph.col)
        return spmm_kernel(graph, x)

    @staticmethod
    @without_autocast
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        graph: SparseGraph = ctx.graph
        weight, x, *_ = ctx.saved_tensors
        grad_weight = grad_x = None
        if ctx.needs_input_grad[1]:
            grad_weight = graph.edge_products(grad, x).to(weight.dtype)
        if ctx.needs_input_grad[2]:
            turned = None if weight is None else weight[graph.transpose_order]
            grad_x = spmm(graph.transpose, turned, grad)
        return None, grad_weight, grad_x
