r"""Losses that keep clusters in use, from the Gram matrices of the assignment alone.

With :math:`G_b = S_b^\top S_b` of a graph of :math:`n_b` nodes and :math:`K_b` existing
clusters, the sizes of the clusters are :math:`c_b = S_b^\top 1 = G_b 1`, since the rows
of S sum to 1, and :math:`n_b = 1^\top c_b`. All losses are means over the graphs that
have nodes. The arithmetic is float64, of `[B, K, K]` numbers.
"""

import torch
from torch import Tensor

from pyg_diffpool._losses import root

# Of the squared distance to a perfect clustering: rounding alone.
_RESOLUTION = (4 * torch.finfo(torch.double).eps) ** 2
_TINY = torch.finfo(torch.double).tiny


def orthogonality_loss(
    gram: Tensor,  # [B, K, K]
    mask: Tensor,  # [B, K]
) -> Tensor:
    r""":math:`\| G_b / \|G_b\|_F - I / \sqrt{K_b} \|_F`, `[]`."""
    wide, count = gram.double(), _count(mask)
    norm = root(wide.square().sum((1, 2), keepdim=True)).clamp(min=_TINY)
    even = mask * count.clamp(min=1).rsqrt().unsqueeze(1)
    rest = wide / norm - torch.diag_embed(even)
    return _mean(root(rest.square().sum((1, 2)), _RESOLUTION), count, gram)


def collapse_loss(
    gram: Tensor,  # [B, K, K]
    mask: Tensor,  # [B, K]
) -> Tensor:
    r""":math:`\sqrt{K_b} \|c_b\| / n_b - 1`, `[]`."""
    share, count = _shares(gram), _count(mask)
    norm = root(share.square().sum(1))
    return _mean(count.sqrt() * norm - count.clamp(max=1), count, gram)


def balance_loss(
    gram: Tensor,  # [B, K, K]
    mask: Tensor,  # [B, K]
) -> Tensor:
    r""":math:`\log K_b + \sum_k p_{bk} \log p_{bk}` with `p = c / n`, `[]`."""
    share, count = _shares(gram), _count(mask)
    negative = (share * share.clamp(min=_TINY).log()).sum(1)
    return _mean(count.clamp(min=1).log() + negative, count, gram)


def _count(mask: Tensor) -> Tensor:
    """The clusters of each graph, `[B]`; 0 for one without nodes."""
    return mask.sum(1, dtype=torch.double)


def _shares(gram: Tensor) -> Tensor:
    """The share of the nodes in each cluster, `[B, K]`; zeros without nodes."""
    sizes = gram.sum(2, dtype=torch.double)
    return sizes / sizes.sum(1, keepdim=True).clamp(min=_TINY)


def _mean(
    values: Tensor,  # [B], 0 for a graph without nodes
    count: Tensor,  # [B]
    gram: Tensor,
) -> Tensor:
    """Over the graphs that have clusters, in at least float32, `[]`."""
    mean = values.sum() / count.clamp(max=1).sum().clamp(min=1)
    return mean.to(torch.promote_types(gram.dtype, torch.float))
