r"""Losses that keep clusters in use, from the Gram matrices of the assignment alone.

With :math:`G_b = S_b^\top S_b` of a graph of :math:`n_b` nodes and :math:`K_b` existing
clusters, the sizes of the clusters are :math:`c_b = S_b^\top 1 = G_b 1`, since the rows
of S sum to 1, and :math:`n_b = 1^\top c_b`. All losses are means over the graphs that
have nodes, computed in at least float32.
"""

import torch
from torch import Tensor

from pyg_diffpool._losses import root


def orthogonality_loss(
    gram: Tensor,  # [B, K, K]
    mask: Tensor,  # [B, K]
) -> Tensor:
    r""":math:`\| G_b / \|G_b\|_F - I / \sqrt{K_b} \|_F`, `[]`."""
    gram, count = _wide(gram), _count(gram, mask)
    limits = torch.finfo(gram.dtype)
    norm = torch.linalg.vector_norm(gram, dim=(1, 2), keepdim=True)
    even = mask * count.clamp(min=1).rsqrt().unsqueeze(1)
    rest = gram / norm.clamp(min=limits.tiny) - torch.diag_embed(even)
    return _mean(root(rest.square().sum((1, 2)), (4 * limits.eps) ** 2), count)


def collapse_loss(
    gram: Tensor,  # [B, K, K]
    mask: Tensor,  # [B, K]
) -> Tensor:
    r""":math:`\sqrt{K_b} \|c_b\| / n_b - 1`, `[]`."""
    share, count = _shares(gram), _count(gram, mask)
    norm = root(share.square().sum(1))
    return _mean(count.sqrt() * norm - count.clamp(max=1), count)


def balance_loss(
    gram: Tensor,  # [B, K, K]
    mask: Tensor,  # [B, K]
) -> Tensor:
    r""":math:`\log K_b + \sum_k p_{bk} \log p_{bk}` with `p = c / n`, `[]`."""
    share, count = _shares(gram), _count(gram, mask)
    entropy = torch.special.entr(share + torch.finfo(share.dtype).tiny).sum(1)
    return _mean(count.clamp(min=1).log() - entropy, count)


def _wide(gram: Tensor) -> Tensor:
    return gram.to(torch.promote_types(gram.dtype, torch.float))


def _count(gram: Tensor, mask: Tensor) -> Tensor:
    """The clusters of each graph, `[B]`; 0 for one without nodes."""
    return mask.sum(1, dtype=torch.promote_types(gram.dtype, torch.float))


def _shares(gram: Tensor) -> Tensor:
    """The share of the nodes in each cluster, `[B, K]`; zeros without nodes.

    The number of nodes has no gradient, since rows of S sum to 1 whatever the logits.
    """
    sizes = _wide(gram).sum(2)
    return sizes / sizes.detach().sum(1, keepdim=True).clamp(min=1)


def _mean(
    values: Tensor,  # [B], 0 for a graph without nodes
    count: Tensor,  # [B]
) -> Tensor:
    """Over the graphs that have clusters, `[]`."""
    return values.sum() / count.clamp(max=1).sum().clamp(min=1)
