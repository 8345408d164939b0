r"""What both forms share.

With :math:`L = \|A - SS^\top\|_F`, the summed entropy H and incoming gradients
:math:`d_L` and :math:`d_H`, :math:`r = d_L / L`, or 0 where L is 0, is what all
gradients of L are proportional to; and the logits receive the gradient of S less
:math:`d_H \log S`, through the softmax. The losses are L and H over what they are
divided by, so that the operations for this are not ones of autograd.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_diffpool.losses import CANCELLATION, RESOLUTION, expanded, norm_of, trace
from pyg_diffpool.ops import device


class LossScale(NamedTuple):
    """What the two losses are divided by, and their dtype."""

    link: float | Tensor = 1.0  # []
    entropy: float | Tensor = 1.0  # []
    dtype: torch.dtype = torch.double

    def divide(self, link_loss: Tensor, entropy: Tensor) -> tuple[Tensor, Tensor]:
        """Both losses divided, `[]`."""
        scaled = link_loss / self.link, entropy / self.entropy
        return scaled[0].to(self.dtype), scaled[1].to(self.dtype)

    def entropy_rate(self, grad: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """:math:`d_H`, `[]`, from the gradient of the loss."""
        return None if grad is None else (grad / self.entropy).to(dtype)


class Level(NamedTuple):
    """All that a level of DiffPool computes."""

    x: Tensor  # [B, K, C]
    adj: Tensor  # [B, K, K]
    s: Tensor  # [N, K] or [B, M, K]
    link_loss: Tensor  # [], the norm or the summed cross-entropy, divided
    entropy: Tensor  # [], summed over the nodes, divided


def link_norm(
    adj_square: Tensor,  # [], float64
    pooled_adj: Tensor,  # [B, K, K]
    gram: Tensor,  # [B, K, K]
    exact: Callable[[], Tensor],
) -> Tensor:
    """`losses.expanded` without gradient, `[]`, float64; on a CPU in plain numbers."""
    if not device.is_readable(gram):
        return expanded(adj_square, trace(pooled_adj), gram, exact)
    adj_part, gram_part = adj_square.item(), norm_of(gram).item() ** 2
    square = adj_part - 2 * trace(pooled_adj).item() + gram_part
    scale = adj_part + gram_part
    if gram.dtype != torch.double and square < CANCELLATION * scale:
        square = exact().item()
    norm = 0.0 if square <= RESOLUTION * scale else math.sqrt(square)
    return torch.tensor(norm, dtype=torch.double, device=gram.device)


def link_rate(
    norm: Tensor, grad: Tensor | None, scale: LossScale, dtype: torch.dtype
) -> Tensor | float:
    """r, `[]`, from the gradient of the loss; a plain number where that is free."""
    if grad is None:
        return 0.0
    if device.is_readable(norm):
        value = norm.item() * float(scale.link)
        return 0.0 if value == 0 else grad.item() / value
    return torch.where(norm > 0, grad / (norm * scale.link), 0).to(dtype)
