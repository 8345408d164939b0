r"""A level on the padded form: dense blocks with a mask, batched matrix products.

Right for small, even graphs and for adjacencies that are dense to begin with, such as
those of pooled graphs. The norm comes by :math:`S^\top S`, with nothing of shape
`[B, M, M]` besides A; where K >= M, or where its terms cancel, by the residual
:math:`R = A - SS^\top`. Then :math:`T = S D_A`, and :math:`r R` and
:math:`-r\,(R + R^\top) S` are the last terms of dA and dS.
"""

from typing import Any

import torch
from torch import Tensor

from pyg_diffpool._level import (
    Level,
    divide,
    loss_gradients,
    softmax_backward,
    softmax_into,
    softmax_with_entropy,
)
from pyg_diffpool._losses import expanded_norm, frobenius, root
from pyg_diffpool._modes import Gradients, Operation, Saved, is_autocast, operation


def padded_level(
    x: Tensor,  # [B, M, C], zeros where there is no node
    adj: Tensor,  # [B, M, M], zeros where there is no node
    logits: Tensor,  # [B, M, K]
    mask: Tensor | None,  # [B, M]; None is all
    divisors: Tensor,  # [2], float64
    dtype: torch.dtype,  # of the losses
) -> Level:
    """Pool every graph of a padded mini-batch; compilers fuse the plain formula."""
    by_hand = x.dtype.itemsize >= 4 and not is_autocast(x.device.type)
    level = _level if by_hand else _plain
    return Level(*level(x, adj, logits, mask, divisors, dtype))


def _plain(
    x: Tensor,
    adj: Tensor,
    logits: Tensor,
    mask: Tensor | None,
    divisors: Tensor,
    dtype: torch.dtype,
) -> tuple[Tensor, ...]:
    if mask is not None:  # also where padding is no number
        logits = logits.masked_fill(~mask.unsqueeze(-1), 0)
    p, entropy = softmax_with_entropy(logits)
    s = p.to(x.dtype)
    if mask is not None:
        s = s.masked_fill(~mask.unsqueeze(-1), 0)
        entropy = entropy.masked_fill(~mask, 0)
    residual = adj - s @ s.mT
    norm = root(residual.double().square().sum())
    losses = divide(norm, entropy, divisors, dtype)
    return s.mT @ x, s.mT @ adj @ s, s, *losses


class _PaddedLevel(Operation):
    results = 5
    keeps = 2, 5, 6, 7

    @staticmethod
    def forward(
        x: Tensor, adj: Tensor, logits: Tensor, mask: Tensor | None, *rest: Any
    ) -> tuple[Tensor, ...]:
        """The level, and what the gradients want: Y, G or R, and L."""
        divisors, dtype = rest
        s = logits.new_empty(logits.shape, dtype=x.dtype)
        entropy = softmax_into(s, logits).view(s.shape[:-1])
        if mask is not None:
            s.masked_fill_(~mask.unsqueeze(-1), 0)
            entropy.masked_fill_(~mask, 0)
        y = adj @ s
        out_adj = s.mT @ y
        norm, square = _norm(adj, s, out_adj)
        losses = divide(norm, entropy, divisors, dtype)
        return s.mT @ x, out_adj, s, *losses, y, square, norm

    plain = staticmethod(_plain)

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        inputs, outputs, needs, grads = saved
        (x, adj, _, _, divisors, _), (s, y, square, norm) = inputs, outputs
        d_x, d_adj, d_s, d_link, d_entropy = grads
        rate, down = loss_gradients(norm, divisors, d_link, d_entropy, s.dtype)
        by_residual = square.size(1) == adj.size(1)
        d_adj = s.new_zeros(s.size(0), s.size(2), s.size(2)) if d_adj is None else d_adj
        if not by_residual:
            d_adj = d_adj - rate * torch.eye(s.size(2), dtype=s.dtype, device=s.device)
        t = s @ d_adj
        out_x = out_adj = out_s = None
        if needs[0] and d_x is not None:
            out_x = s @ d_x
        if needs[1]:
            out_adj = (rate * (square if by_residual else adj)).baddbmm_(t, s.mT)
        if needs[2]:
            out_s = (y @ d_adj.mT).baddbmm_(adj.mT, t)
            if d_x is not None:
                out_s.baddbmm_(x, d_x.mT)
            last = -rate * (square + square.mT) if by_residual else 2 * rate * square
            pair = (last, s) if by_residual else (s, last)
            out_s = softmax_backward(out_s.baddbmm_(*pair), s, d_s, down)
        return out_x, out_adj, out_s


_level = operation(_PaddedLevel)


def _norm(adj: Tensor, s: Tensor, out_adj: Tensor) -> tuple[Tensor, Tensor]:
    r"""The norm, and :math:`S^\top S` or the residual by which it came."""
    kept = []

    def exact() -> Tensor:
        kept.append(torch.baddbmm(adj, s, s.mT, alpha=-1))
        return frobenius(kept[0])

    if s.size(2) >= s.size(1):
        return exact(), kept[0]
    gram = s.mT @ s
    norm = expanded_norm(frobenius(adj).square(), out_adj, gram, exact)
    return norm, kept[0] if kept else gram
