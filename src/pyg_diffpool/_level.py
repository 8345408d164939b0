r"""One level of DiffPool, from logits to losses, on either form of a mini-batch.

With :math:`S = \mathrm{softmax}(\mathtt{logits})`, :math:`Y = A S`, the norm
:math:`L = \|A - SS^\top\|_F` and the summed entropy H, forward and backward are written
by hand around the products; `plain` is the same in torch's own operations, taken where
a gradient is differentiated again or transformed. With incoming gradients
:math:`D_X, D_A, d_L, d_H`, that of :math:`G = S^\top S`, :math:`D_G`, and
:math:`r = d_L / L`, or 0 where L is 0,

.. math::
    dX = S D_X, \qquad T = S (D_A - r I), \qquad dA = T S^\top + r A, \qquad
    dS = X D_X^\top + Y (D_A - r I)^\top + A^\top T + S (2 r G + D_G + D_G^\top)

and the logits receive :math:`dS - d_H \log S` through the softmax.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_diffpool import _modes
from pyg_diffpool._checks import wrong

BLOCK = 2**17  # elements of a matrix that stay in the cache
CANCELLATION = 2.0**-6  # of the norm's terms, if no more is left, all is recomputed
RESOLUTION = 8 * torch.finfo(torch.double).eps  # less than that is rounding


class Level(NamedTuple):
    """All that a level computes."""

    x: Tensor  # [B, K, C]
    adj: Tensor  # [B, K, K]
    s: Tensor  # [N, K] or [B, M, K]
    link_loss: Tensor  # [], L over its divisor
    entropy_loss: Tensor  # [], H over its divisor
    gram: Tensor  # [B, K, K]


def cluster_mask(
    sizes: Tensor,  # [B], nodes of each graph
    k: int,
    num_clusters: int | Tensor | None,  # [B]
) -> Tensor:
    """Which clusters exist, `[B, K]`: those within the budget, none without nodes."""
    if num_clusters is None:
        return sizes.unsqueeze(-1).expand(-1, k) > 0
    budget = (sizes > 0) * num_clusters
    return torch.arange(k, device=sizes.device) < budget.unsqueeze(-1)


def cluster_budget(
    ratio: float | None,
    num_clusters: int | Tensor | None,
    sizes: Tensor,  # [B], nodes of each graph
    s: Tensor,  # [..., K] logits, or [...] int64 clusters
) -> int | Tensor | None:
    """`ceil(ratio * n_b)` clusters for each graph, at most K, `[B]`.

    Rounded up after 1e-9 is taken off, or 0.07 of 100 nodes would be 8 clusters.
    Without a ratio, or beside given clusters, what `num_clusters` says.
    """
    if ratio is None or not s.is_floating_point():
        return num_clusters
    if num_clusters is not None:
        what, got = "either 'ratio' or 'num_clusters'", f"{ratio} and {num_clusters}"
        raise wrong(ValueError, what, got, "Leave one out.")
    return (ratio * sizes.double() - 1e-9).ceil().long().clamp(max=s.size(-1))


def to_logits(
    s: Tensor,  # [..., K] logits, or [...] int64 clusters
    exists: Tensor | None,  # [..., K]; None is all
    k: int,
    dtype: torch.dtype,
) -> Tensor:
    """Logits in `dtype`, `[..., K]`: minus infinity for clusters that do not exist.

    For given clusters 0 for a node's own and minus infinity for all others, of which
    the softmax makes 1 and 0, without entropy.
    """
    if not s.is_floating_point():
        exists = s.unsqueeze(-1) == torch.arange(k, device=s.device)
        s = torch.zeros(exists.shape, dtype=dtype, device=s.device)
    s = s.to(dtype)
    return s if exists is None else s.masked_fill(~exists, float("-inf"))


def softmax_with_entropy(
    logits: Tensor,  # [..., K]
) -> tuple[Tensor, Tensor]:
    r""":math:`P`, `[..., K]`, and :math:`-\sum_k P_k \log P_k`, `[...]`.

    In at least float32. The logarithm is kept finite, since 0 * -inf is no number.
    """
    dtype = torch.promote_types(logits.dtype, torch.float)
    log_p = logits.log_softmax(-1, dtype=dtype)
    p = log_p.exp()
    # Not `vecdot`, which autocast takes to half precision.
    return p, -(p * log_p.clamp(min=math.log(torch.finfo(dtype).tiny))).sum(-1)


def softmax(
    logits: Tensor,  # [..., K]
    mask: Tensor | None,  # [...]
) -> tuple[Tensor, Tensor]:
    """S, 0 where masked, and the summed entropy `[]`, float64; without gradient."""
    if not _modes.may_read_values(logits):  # in few launches
        p = logits.softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float))
        p = p if mask is None else torch.where(mask.unsqueeze(-1), p, 0.0)
        return p.to(logits.dtype), torch.special.entr(p).sum(dtype=torch.double)
    s, parts = logits.new_empty(logits.shape), []
    lowest = math.log(torch.finfo(s.dtype).tiny)
    for rows, p in _row_blocks(logits, s):
        log_p = rows.log_softmax(-1)
        torch.exp(log_p, out=p)
        parts.append(torch.linalg.vecdot(p, log_p.clamp_(min=lowest)))
    negative = torch.cat(parts)
    if mask is not None:
        hidden = ~mask
        s.masked_fill_(hidden.unsqueeze(-1), 0)
        negative.masked_fill_(hidden.flatten(), 0)
    return s, 0.0 - negative.sum(dtype=torch.double)  # no -0.0


def softmax_backward(
    out: Tensor,  # [..., K], the gradient of s, is overwritten
    s: Tensor,  # [..., K]
    d_s: Tensor | None,
    d_entropy: Tensor | float | None,  # []
) -> Tensor:
    """The gradient of the logits."""
    if d_s is not None:
        out += d_s
    wide = torch.promote_types(s.dtype, torch.float)
    tiny = torch.finfo(wide).tiny  # 0 in float16
    for grad, p in _row_blocks(out, s):
        if d_entropy is not None:
            grad -= p.to(wide).clamp_min(tiny).log_().mul_(d_entropy)
        result = torch._softmax_backward_data(grad, p, -1, p.dtype)
        if result.numel() == out.numel():
            return result.view(out.shape)
        grad.copy_(result)
    return out


def _row_blocks(*matrices: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Blocks of rows of the first matrix, with the same rows of the others.

    On a CPU they stay in the cache: whole temporaries of 2.5 MB took three times as
    long, most of it for fresh memory.
    """
    flat = [m.flatten(0, -2) for m in matrices]
    if flat[0].device.type != "cpu" or flat[0].numel() <= BLOCK:
        return iter([tuple(flat)])
    rows = max(1, BLOCK // flat[0].size(-1))
    return zip(*(m.split(rows) for m in flat), strict=True)


def divide(
    norm: Tensor,  # [], float64
    entropy: Tensor,  # [], float64
    divisors: Tensor,  # [2], float64
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Both losses, `[]`, over what divides them."""
    return (norm / divisors[0]).to(dtype), (entropy / divisors[1]).to(dtype)


def loss_gradients(
    norm: Tensor,  # [], float64
    divisors: Tensor,  # [2], float64
    d_link: Tensor | None,
    d_entropy: Tensor | None,
) -> tuple[Tensor | float, Tensor | float | None]:
    """:math:`r` and :math:`d_H`, `[]`; plain numbers where values may be read."""
    if not _modes.may_read_values(norm):
        rate: Any = 0.0
        if d_link is not None:
            rate = (d_link / (norm * divisors[0])).masked_fill(norm == 0, 0)
        return rate, None if d_entropy is None else d_entropy / divisors[1]
    links, nodes = divisors.tolist()
    length = norm.item() * links
    rate = 0.0 if d_link is None or length == 0 else d_link.item() / length
    return rate, None if d_entropy is None else d_entropy.item() / nodes
