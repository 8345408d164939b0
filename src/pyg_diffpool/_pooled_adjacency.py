"""The pooled adjacency for messages between clusters: no loops, even degrees."""

import torch
from torch import Tensor

# Of the largest entry, below it gradients overflow; and of degrees beside that.
_FLOOR, _SMALLEST = 1e-20, 1e-15


def normalized(
    adj: Tensor,  # [B, K, K]
) -> Tensor:
    r""":math:`D_{out}^{-1/2} \hat A D_{in}^{-1/2}`, `[B, K, K]`, in at least float32.

    :math:`\hat A` is A with zeros on the diagonal; degrees are sums of absolute values,
    and a cluster without edges keeps its zeros, with gradient 0. Entries are divided by
    the largest first, which changes nothing but what overflows; a degree of less than
    some 1e-13 of that counts as more than it is.
    """
    adj = adj.to(torch.promote_types(adj.dtype, torch.float))
    loops = torch.eye(adj.size(1), dtype=torch.bool, device=adj.device)
    adj = adj.masked_fill(loops, 0)
    largest = adj.detach().abs().amax((1, 2), keepdim=True)
    adj = adj / largest.clamp(min=_FLOOR)
    size = adj.abs()
    for dim in (1, 2):
        degree = size.sum(dim, keepdim=True)
        adj = adj * (degree + _SMALLEST).rsqrt() * (degree > 0)
    return adj
