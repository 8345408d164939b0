"""What a backend gives back."""

from typing import NamedTuple

from torch import Tensor


class Pooled(NamedTuple):
    """The three products of pooling."""

    x: Tensor  # [B, K, C], S^T X
    adj: Tensor  # [B, K, K], S^T A S
    gram: Tensor  # [B, K, K], S^T S
