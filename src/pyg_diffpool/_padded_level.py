r"""A level on the padded form: dense blocks with a mask, batched matrix products.

Right for small, even graphs and for adjacencies that are dense to begin with, such as
those of pooled graphs. The norm comes by :math:`S^\top S`, with nothing of shape
`[B, M, M]` besides A; where its terms cancel, by the residual :math:`A - SS^\top`.
"""

from typing import Any

import torch
from torch import Tensor

from pyg_diffpool import _engine, _modes
from pyg_diffpool._level import (
    Level,
    divide,
    loss_gradients,
    softmax,
    softmax_backward,
    softmax_with_entropy,
)
from pyg_diffpool._losses import expanded_norm, frobenius, root
from pyg_diffpool._modes import (
    Gradients,
    Operation,
    Saved,
    is_autocast,
    needs_gradient,
    operation,
)


def padded_level(
    x: Tensor,  # [B, M, C]
    adj: Tensor,  # [B, M, M]
    logits: Tensor,  # [B, M, K]
    mask: Tensor | None,  # [B, M]; None is all
    divisors: Tensor,  # [2], float64
    dtype: torch.dtype,  # of the losses
    hides: bool = True,  # what A has in padding, where the level looks at the mask
) -> Level:
    """Pool every graph of a padded mini-batch; compilers fuse the plain formula.

    But for a level that looks at the mask, x is 0 in padding.
    """
    mask = None if mask is None else mask.contiguous()
    rest = logits, mask, divisors, dtype
    if looks_at_mask(x, logits):
        gradient = needs_gradient(x, adj, logits)
        return Level(*_level_by_kernels(x, adj, *rest, gradient, hides))
    is_plain = x.dtype.itemsize < 4 or is_autocast(x.device.type)
    return Level(*(_PaddedLevel.plain if is_plain else _level)(x, adj, *rest))


def looks_at_mask(x: Tensor, logits: Tensor) -> bool:
    """Whether it is one of kernels, which never read what padding holds."""
    may_launch = _modes.may_launch(x) and not is_autocast(x.device.type)
    return may_launch and _engine.runs_level(x, logits.size(2))


class _PaddedLevel(Operation):
    results = 6
    keeps = 2, 6, 5, 7

    @staticmethod
    def forward(
        x: Tensor, adj: Tensor, logits: Tensor, mask: Tensor | None, *rest: Any
    ) -> tuple[Tensor, ...]:
        """The level, and what the gradients want: Y and L."""
        divisors, dtype = rest
        s, entropy = softmax(logits, mask)
        y = adj @ s
        out_adj = s.mT @ y
        gram = s.mT @ s

        def exact() -> Tensor:
            return frobenius(torch.baddbmm(adj, s, s.mT, alpha=-1))

        norm = expanded_norm(adj, out_adj, gram, exact)
        losses = divide(norm, entropy, divisors, dtype)
        return s.mT @ x, out_adj, s, *losses, gram, y, norm

    @staticmethod
    def plain(
        x: Tensor, adj: Tensor, logits: Tensor, mask: Tensor | None, *rest: Any
    ) -> tuple[Tensor, ...]:
        divisors, dtype = rest
        if mask is not None:  # also where padding is no number
            logits = torch.where(mask.unsqueeze(-1), logits, 0.0)
        p, entropy = softmax_with_entropy(logits)
        s = p.to(x.dtype)
        if mask is not None:
            s = torch.where(mask.unsqueeze(-1), s, 0.0)
            entropy = torch.where(mask, entropy, 0.0)
        residual = adj - s @ s.mT
        norm = root(residual.double().square().sum())
        losses = divide(norm, entropy.sum(dtype=torch.double), divisors, dtype)
        return s.mT @ x, s.mT @ adj @ s, s, *losses, s.mT @ s

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        inputs, outputs, needs, grads = saved
        (x, adj, _, _, divisors, _), (s, y, gram, norm) = inputs, outputs
        d_x, d_adj, d_s, d_link, d_entropy, d_gram = grads
        rate, down = loss_gradients(norm, divisors, d_link, d_entropy)
        inner = torch.zeros_like(gram) if d_adj is None else d_adj.clone()
        inner.diagonal(dim1=1, dim2=2).sub_(rate)
        t = s @ inner
        out_x = out_adj = out_s = None
        if needs[0] and d_x is not None:
            out_x = s @ d_x
        if needs[1]:
            out_adj = (rate * adj).baddbmm_(t, s.mT)
        if needs[2]:
            out_s = (y @ inner.mT).baddbmm_(adj.mT, t)
            out_s.baddbmm_(s, gram * rate, alpha=2)
            if d_gram is not None:
                out_s.baddbmm_(s, d_gram + d_gram.mT)
            if d_x is not None:
                out_s.baddbmm_(x, d_x.mT)
            out_s = softmax_backward(out_s, s, d_s, down)
        return out_x, out_adj, out_s


_level = operation(_PaddedLevel)


class _PaddedLevelByKernels(Operation):
    """The same by Triton's kernels: sums in float32, and Y and W saved."""

    results = 6
    keeps = 2, 5, 6, 7, 8

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        return tuple(_engine.kernels().dense_forward(*inputs))

    @staticmethod
    def plain(
        x: Tensor, adj: Tensor, logits: Tensor, mask: Tensor | None, *rest: Any
    ) -> tuple[Tensor, ...]:
        if mask is not None:
            x = torch.where(mask.unsqueeze(-1), x, 0.0)
            real = mask.unsqueeze(1) & mask.unsqueeze(2)
            adj = torch.where(real, adj, 0.0) if rest[-1] else adj
        out = _PaddedLevel.plain(x, adj, logits, mask, *rest[:2])
        return tuple(t if i == 2 else t.float() for i, t in enumerate(out))

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        (x, adj, _, mask, divisors, *_), kept, needs, grads = saved
        given = kept, divisors, needs[:3], grads, None, mask
        out_x, out_s, t, rate = _engine.kernels().gradients(x, *given)
        out_adj = None
        if t is not None:
            wide = torch.baddbmm(rate * adj.float(), t, kept[0].float().mT)
            out_adj = wide.to(adj.dtype)
        return out_x, out_adj, out_s


_level_by_kernels = operation(_PaddedLevelByKernels)
