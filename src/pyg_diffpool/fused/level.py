r"""What both forms share.

With :math:`L = \|A - SS^\top\|_F` and incoming gradients :math:`d_L` and :math:`d_H`
of the losses, :math:`r = d_L / L`, or 0 where L is 0, is what all gradients of L are
proportional to; and the logits receive the gradient of S less :math:`d_H \log S`,
through the softmax.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Level(NamedTuple):
    """All that a level of DiffPool computes."""

    x: Tensor  # [B, K, C]
    adj: Tensor  # [B, K, K]
    s: Tensor  # [N, K] or [B, M, K]
    link_loss: Tensor  # [], the norm in float64, or the summed cross-entropy
    entropy: Tensor  # [], summed over the nodes


def link_rate(norm: Tensor, grad: Tensor | None, dtype: torch.dtype) -> Tensor:
    """r, `[]`."""
    if grad is None:
        return norm.new_zeros((), dtype=dtype)
    return torch.where(norm > 0, grad / norm, 0).to(dtype)
