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


def orthogonality_loss(
    gram: Tensor,  # [B, K, K]
    mask: Tensor,  # [B, K]
) -> Tensor:
    r""":math:`\| G_b / \|G_b\|_F - I / \sqrt{K_b} \|_F`, `[]`."""
    wide, count = gram.double(), mask.sum(1)
    norm = root(wide.square().sum((1, 2)))
    even = mask / count.clamp(min=1).double().sqrt().unsqueeze(1)
    rest = wide / _nonzero(norm).view(-1, 1, 1) - torch.diag_embed(even)
    return _mean(root(rest.square().sum((1, 2)), _RESOLUTION), gram, mask)


def collapse_loss(
    gram: Tensor,  # [B, K, K]
    mask: Tensor,  # [B, K]
) -> Tensor:
    r""":math:`\sqrt{K_b} \|c_b\| / n_b - 1`, `[]`."""
    share = _shares(gram)
    norm = root(share.square().sum(1))
    return _mean(mask.sum(1).double().sqrt() * norm - 1, gram, mask)


def balance_loss(
    gram: Tensor,  # [B, K, K]
    mask: Tensor,  # [B, K]
) -> Tensor:
    r""":math:`\log K_b + \sum_k p_{bk} \log p_{bk}` with `p = c / n`, `[]`."""
    share = _shares(gram)
    logarithm = share.clamp(min=torch.finfo(share.dtype).tiny).log()
    most = mask.sum(1).clamp(min=1).double().log()
    return _mean(most + (share * logarithm).sum(1), gram, mask)


def _shares(gram: Tensor) -> Tensor:
    """The share of the nodes in each cluster, `[B, K]`; zeros without nodes."""
    sizes = gram.double().sum(2)
    return sizes / _nonzero(sizes.sum(1, keepdim=True))


def _nonzero(value: Tensor) -> Tensor:
    return value.masked_fill(value == 0, 1)


def _mean(
    values: Tensor,  # [B]
    gram: Tensor,
    mask: Tensor,
) -> Tensor:
    """Over the graphs that have clusters, in at least float32, `[]`."""
    real = mask.any(1)
    mean = (values * real).sum() / real.sum().clamp(min=1)
    return mean.to(torch.promote_types(gram.dtype, torch.float))
