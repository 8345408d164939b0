r"""A level on the padded form.

With :math:`Y = A S`, :math:`G = S^\top S`, :math:`D_A' = D_A - r I` and
:math:`T = S D_A'`

.. math::
    dX = S D_X, \qquad
    dA = T S^\top + r A, \qquad
    dS = X D_X^\top + Y D_A'^\top + A^\top T + 2 r\, S G

Where K >= M, the link loss comes by :math:`R = A - SS^\top` instead, so that
:math:`D_A' = D_A`, and :math:`r R` and :math:`-r\,(R + R^\top) S` are the last terms.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyg_diffpool.assignment import softmax_with_entropy
from pyg_diffpool.fused.level import Level, LossScale, link_norm, link_rate
from pyg_diffpool.fused.softmax import softmax_backward, softmax_into
from pyg_diffpool.losses import norm_of, padded_frobenius
from pyg_diffpool.ops import padded_pool
from pyg_diffpool.ops.gradients import Gradients, plain_gradients, without_autocast


def fused_padded(
    x: Tensor,  # [B, M, C]
    adj: Tensor,  # [B, M, M]
    logits: Tensor,  # [B, M, K]
    mask: Tensor | None,  # [B, M]
    scale: LossScale,
) -> Level:
    """Pool every graph of the mini-batch by the softmax of `logits`."""
    out = _PaddedLevel.apply(x, adj, logits, mask, scale)
    return Level(*out)


def _plain(
    x: Tensor, adj: Tensor, logits: Tensor, mask: Tensor | None, scale: LossScale
) -> Level:
    """The same, of operations with gradients of their own."""
    s, entropy = softmax_with_entropy(logits)
    if mask is not None:
        s = s.masked_fill(~mask.unsqueeze(-1), 0)
        entropy = entropy.masked_fill(~mask, 0)
    out, out_adj = padded_pool(x, adj, s)
    norm = padded_frobenius(adj, s, out_adj)
    return Level(out, out_adj, s, *scale.divide(norm, entropy.sum()))


class _PaddedLevel(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        adj: Tensor,
        logits: Tensor,
        mask: Tensor | None,
        scale: LossScale,
    ) -> Level:
        ctx.set_materialize_grads(False)
        s = torch.empty_like(logits)
        entropy = softmax_into(s, logits).view(s.shape[:-1])
        if mask is not None:
            padding = ~mask
            s.masked_fill_(padding.unsqueeze(-1), 0)
            entropy.masked_fill_(padding, 0)
        turned = s.transpose(1, 2)
        y = adj @ s
        out_adj = turned @ y
        norm, square = _link(adj, s, out_adj)
        ctx.scale = scale
        ctx.save_for_backward(x, adj, logits, mask, s, y, square, norm)
        losses = scale.divide(norm, entropy.sum())
        return Level(turned @ x, out_adj, s, *losses)

    @staticmethod
    @without_autocast
    def backward(ctx: Any, *grads: Tensor | None) -> Gradients:
        needs = (*ctx.needs_input_grad[:3], False)
        saved, scale = ctx.saved_tensors, ctx.scale
        if torch.is_grad_enabled():
            plain = partial(_plain, scale=scale)
            return *plain_gradients(plain, saved[:4], needs, grads), None
        return *_gradients(saved, needs, grads, scale), None, None


def _link(adj: Tensor, s: Tensor, out_adj: Tensor) -> tuple[Tensor, Tensor]:
    r"""The norm, and :math:`A - SS^\top`, or :math:`S^\top S` if that is smaller."""
    if s.size(2) >= s.size(1):
        residual = _residual(adj, s)
        return norm_of(residual), residual
    gram = s.transpose(1, 2) @ s

    def exact() -> Tensor:
        return norm_of(_residual(adj, s)).square()

    return link_norm(norm_of(adj).square(), out_adj, gram, exact), gram


def _residual(adj: Tensor, s: Tensor) -> Tensor:
    product = s @ s.transpose(1, 2)
    return torch.sub(adj, product, out=product)


def _gradients(
    saved: tuple[Tensor, ...],
    needs: tuple[bool, ...],
    grads: Gradients,
    scale: LossScale,
) -> Gradients:
    x, adj, _, _, s, y, square, norm = saved
    d_x, d_adj, d_s, d_link, d_entropy = grads
    rate, turned = link_rate(norm, d_link, scale, s.dtype), s.transpose(1, 2)
    by_residual = s.size(2) >= s.size(1)
    if d_adj is None:
        d_adj = s.new_zeros(s.size(0), s.size(2), s.size(2))
    if not by_residual:
        d_adj = d_adj.clone()
        d_adj.diagonal(dim1=1, dim2=2).sub_(rate)
    t = s @ d_adj
    out_x = out_adj = out_s = None
    if needs[0] and d_x is not None:
        out_x = s @ d_x
    if needs[1]:
        out_adj = (rate * (square if by_residual else adj)).baddbmm_(t, turned)
    if needs[2]:
        out_s = (y @ d_adj.transpose(1, 2)).baddbmm_(adj.transpose(1, 2), t)
        if d_x is not None:
            out_s.baddbmm_(x, d_x.transpose(1, 2))
        if by_residual:
            both = (square + square.transpose(1, 2)).mul_(rate)
            out_s.baddbmm_(both, s, alpha=-1)
        else:
            out_s.baddbmm_(s, 2 * rate * square)
        rate_h = scale.entropy_rate(d_entropy, s.dtype)
        out_s = softmax_backward(out_s, s, d_s, rate_h)
    return out_x, out_adj, out_s
