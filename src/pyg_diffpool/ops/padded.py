r"""The padded backend: dense blocks with a mask, batched matrix products.

Right for small, even graphs and for adjacencies that are dense to begin with, such as
those of pooled graphs.
"""

from torch import Tensor


def padded_pool(
    x: Tensor,  # [B, M, C]
    adj: Tensor,  # [B, M, M]
    s: Tensor,  # [B, M, K], rows of padding are 0
) -> tuple[Tensor, Tensor]:
    r""":math:`X' = S^\top X`, `[B, K, C]`, and :math:`A' = S^\top A S`, `[B, K, K]`."""
    turned = s.transpose(1, 2)
    return turned @ x, turned @ (adj @ s)
