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
from pyg_diffpool.ops.ragged import align, contract, contract_kernel, expand_kernel


def sparse_pool(
    x: Tensor,  # [N, C]
    graph: SparseGraph,
    s: Tensor,  # [N, K], rows sum to 1 or are 0
) -> Pooled:
    """Pool every graph of the mini-batch."""
    out = _SparsePool.apply(x, graph, graph.weight, s)  # type: ignore[no-untyped-call]
    return Pooled(*out)


def plain_sparse_pool(
    x: Tensor, graph: SparseGraph, weight: Tensor | None, s: Tensor
) -> Pooled:
    """`sparse_pool` as it is defined, of operations with gradients of their own."""
    (c, k), y = (x.size(1), s.size(1)), spmm(graph, weight, s)
    out = contract(s, torch.cat([x, y, s], 1), graph.ptr)
    return Pooled(*out.split([c, k, k], 2))


class _SparsePool(torch.autograd.Function):
    r"""Both directions by hand, since the gradient shares the forward's products.

    With incoming gradients :math:`D_X, D_A, D_G`:

    .. math::
        dZ &= S D_X \\
        dS &= [\, Z \mid Y \mid S \,]\,[\, D_X \mid D_A \mid D_G + D_G^\top \,]^\top
              + A^\top S D_A

    Where :math:`A = A^\top` the last term is :math:`Y D_A` and joins the product. The
    columns of `[Z | Y | S]` lie in one buffer, each part padded to the alignment of
    the ragged product.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, graph: SparseGraph, weight: Tensor | None, s: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        (n, c), k = x.shape, s.size(1)
        c4, k4 = align(c, s.dtype), align(k, s.dtype)
        new = s.new_empty if (c, k) == (c4, k4) else s.new_zeros
        buffer = new(n, c4 + 2 * k4)
        z, y, s4 = buffer.split([c4, k4, k4], 1)
        z[:, :c], s4[:, :k] = x, s
        torch.mm(graph.matrix(s.dtype), s4, out=y)
        out = contract_kernel(s4, buffer, graph.ptr)[:, :k]
        ctx.graph, ctx.buffer, ctx.widths = graph, buffer, (c4, k4, k4)
        ctx.save_for_backward(x, weight, s)
        return out[..., :c], out[..., c4 : c4 + k], out[..., c4 + k4 : c4 + k4 + k]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, s = ctx.saved_tensors
        needs = ctx.needs_input_grad
        if torch.is_grad_enabled():
            return _second_order(ctx.graph, (x, weight, s), needs, grads)
        s4, k4 = ctx.buffer.split(ctx.widths, 1)[2], ctx.widths[2]
        (c, k), ptr = (x.size(1), s.size(1)), ctx.graph.ptr
        folded = ctx.graph.is_symmetric
        d_x, d_adj, d_gram = (
            pad(d, (0, w - d.size(2), 0, k4 - k))
            for d, w in zip(grads, ctx.widths, strict=True)
        )
        out_x = expand_kernel(s4, d_x, ptr)[:, :c] if needs[0] else None
        back = None if folded and not needs[2] else expand_kernel(s4, d_adj, ptr)
        out_weight = out_s = None
        if needs[2] and back is not None:
            out_weight = ctx.graph.edge_products(back, s4).to(weight.dtype)
        if needs[3]:
            d_y = d_adj + d_adj.transpose(1, 2) if folded else d_adj
            blocks = torch.cat([d_x, d_y, d_gram + d_gram.transpose(1, 2)], 2)
            out_s = expand_kernel(ctx.buffer, blocks.transpose(1, 2), ptr)[:, :k]
            if not folded and back is not None:
                out_s = out_s + ctx.graph.transpose.matrix(s.dtype) @ back[:, :k]
        return out_x, None, out_weight, out_s


def _second_order(
    graph: SparseGraph,
    inputs: tuple[Tensor, ...],
    needs: tuple[bool, ...],
    grads: tuple[Tensor, ...],
) -> tuple[Tensor | None, ...]:
    """The same gradients, by operations that can be differentiated once more."""
    x, weight, s = inputs
    out = plain_sparse_pool(x, graph, weight, s)
    wanted = [t for t, need in zip((x, x, weight, s), needs, strict=True) if need]
    found = iter(torch.autograd.grad(out, wanted, grads, create_graph=True))
    return tuple(next(found) if need else None for need in needs)
