r"""The sparse backend: no tensor of size `M x M`, and no padding.

With :math:`Y = A S`, a sparse product, one ragged product gives all there is:

.. math:: S^{\top} [\, Z \mid Y \mid S \,] = [\, X' \mid A' \mid G \,]

where :math:`G = S^{\top} S` serves the link prediction loss. Work and memory grow with
`E + N`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from pyg_diffpool.ops.graph import SparseGraph, spmm
from pyg_diffpool.ops.pooled import Pooled
from pyg_diffpool.ops.ragged import align, contract_kernel, expand


def sparse_pool(
    x: Tensor,  # [N, C]
    graph: SparseGraph,
    s: Tensor,  # [N, K], rows sum to 1 or are 0
) -> Pooled:
    """Pool every graph of the mini-batch."""
    return Pooled(*_SparsePool.apply(x, graph, graph.weight, s))  # type: ignore[no-untyped-call]


class _SparsePool(torch.autograd.Function):
    """Both directions by hand, since the gradient shares the forward's products.

    The columns of `[Z | Y | S]` lie in one buffer, each part padded to the alignment
    of the ragged product.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, graph: SparseGraph, weight: Tensor | None, s: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        (n, c), k = x.shape, s.size(1)
        c4, k4 = align(c, s.dtype), align(k, s.dtype)
        buffer = s.new_zeros(n, c4 + 2 * k4)
        buffer[:, :c] = x
        buffer[:, c4 + k4 : c4 + k4 + k] = s
        right = buffer[:, c4 + k4 :]
        buffer[:, c4 : c4 + k4] = graph.matrix(s.dtype) @ right
        out = contract_kernel(right, buffer, graph.ptr)
        ctx.graph, ctx.sizes = graph, (c, k, c4, k4)
        ctx.save_for_backward(x, weight, s)
        ctx.buffer = buffer
        return (
            out[:, :k, :c],
            out[:, :k, c4 : c4 + k],
            out[:, :k, c4 + k4 : c4 + k4 + k],
        )

    @staticmethod
    def backward(
        ctx: Any, grad_x: Tensor, grad_adj: Tensor, grad_gram: Tensor
    ) -> tuple[Tensor | None, ...]:
        graph: SparseGraph = ctx.graph
        x, weight, s = ctx.saved_tensors
        need_x, _, need_weight, need_s = ctx.needs_input_grad
        out_x = out_weight = out_s = None
        if need_x:
            out_x = expand(s, grad_x, graph.ptr)
        if need_weight:
            back = expand(s, grad_adj, graph.ptr)
            out_weight = (back[graph.row] * s[graph.col]).sum(-1).to(weight.dtype)
        if need_s:
            out_s = _grad_s(ctx, x, weight, s, grad_x, grad_adj, grad_gram)
        return out_x, None, out_weight, out_s


def _grad_s(
    ctx: Any,
    x: Tensor,
    weight: Tensor | None,
    s: Tensor,
    grad_x: Tensor,
    grad_adj: Tensor,
    grad_gram: Tensor,
) -> Tensor:
    r"""The gradient of the assignment, `[N, K]`, with `D` the incoming gradients.

    .. math:: [\, Z \mid Y \mid S \,]\,[\, D_X \mid D_A \mid D_G + D_G^\top \,]^\top
              + A^\top S D_A

    Where :math:`A = A^\top`, the last term is :math:`Y D_A` and joins the product.
    """
    graph: SparseGraph = ctx.graph
    c, k, c4, k4 = ctx.sizes
    folded = graph.is_symmetric
    if folded:
        grad_adj = grad_adj + grad_adj.transpose(1, 2)
    parts = [
        pad(grad_x, (0, c4 - c, 0, k4 - k)),
        pad(grad_adj, (0, k4 - k, 0, k4 - k)),
        pad(grad_gram + grad_gram.transpose(1, 2), (0, k4 - k, 0, k4 - k)),
    ]
    blocks = torch.cat(parts, -1).transpose(1, 2)
    buffer = ctx.buffer
    if torch.is_grad_enabled():  # a second derivative needs the way from x, s, weight
        y = spmm(graph, weight, s)
        parts = [pad(x, (0, c4 - c)), pad(y, (0, k4 - k)), pad(s, (0, k4 - k))]
        buffer = torch.cat(parts, -1)
    out = expand(buffer, blocks, graph.ptr)[:, :k]
    if not folded:
        turned = None if weight is None else weight[graph.transpose_order]
        back = expand(s, grad_adj, graph.ptr)
        out = out + spmm(graph.transpose, turned, back)
    return out
