r"""Losses that keep clusters in use, from the Gram matrices of the assignment alone.

With :math:`G_b = S_b^\top S_b` of a graph of :math:`n_b` nodes and :math:`K_b` existing
clusters, the sizes of the clusters are :math:`c_b = S_b^\top 1 = G_b 1`, since the rows
of S sum to 1, and :math:`n_b = 1^\top c_b`. All losses are means over the graphs that
have nodes. Arithmetic is in at least float32, that of sizes in float64.
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
    wide, count = gram.to(_wide(gram)), _count(mask)
    tiny, eps = torch.finfo(wide.dtype).tiny, torch.finfo(wide.dtype).eps
    norm = torch.linalg.vector_norm(wide, dim=(1, 2), keepdim=True).clamp(min=tiny)
    even = mask * count.clamp(min=1).rsqrt().to(wide.dtype).unsqueeze(1)
    square = (wide / norm - torch.diag_embed(even)).square().sum((1, 2))
    return _mean(root(square, (4 * eps) ** 2), count, gram)


def collapse_loss(
    gram: Tensor,  # [B, K, K]
    mask: Tensor,  # [B, K]
) -> Tensor:
    r""":math:`\sqrt{K_b} \|c_b\| / n_b - 1`, `[]`."""
    (sizes, nodes), count = _sizes(gram), _count(mask)
    ratio = root(sizes.square().sum(1)) * (count.sqrt() / nodes)
    return _mean(ratio - count.clamp(max=1), count, gram)


def balance_loss(
    gram: Tensor,  # [B, K, K]
    mask: Tensor,  # [B, K]
) -> Tensor:
    r""":math:`\log (K_b / n_b) + \sum_k c_{bk} \log c_{bk} / n_b`, `[]`."""
    (sizes, nodes), count = _sizes(gram), _count(mask)
    entropy = torch.special.entr(sizes + _TINY).sum(1) / nodes
    return _mean((count.clamp(min=1) / nodes).log() - entropy, count, gram)


def _count(mask: Tensor) -> Tensor:
    """The clusters of each graph, `[B]`; 0 for one without nodes."""
    return mask.sum(1, dtype=torch.double)


def _sizes(gram: Tensor) -> tuple[Tensor, Tensor]:
    """The nodes of each cluster, `[B, K]`, and graph, `[B]`, at least 1.

    That of a graph has no gradient, since rows of S sum to 1 whatever the logits.
    """
    sizes = gram.sum(2, dtype=_wide(gram)).double()
    return sizes, sizes.detach().sum(1).clamp(min=1)


def _mean(
    values: Tensor,  # [B], 0 for a graph without nodes
    count: Tensor,  # [B]
    gram: Tensor,
) -> Tensor:
    """Over the graphs that have clusters, in at least float32, `[]`."""
    mean = values.sum() / count.clamp(max=1).sum().clamp(min=1)
    return mean.to(_wide(gram))


def _wide(gram: Tensor) -> torch.dtype:
    return torch.promote_types(gram.dtype, torch.float)
