r"""The padded backend: dense blocks with a mask, batched matrix products.

Right for small, even graphs and for adjacencies that are dense to begin with, such as
those of pooled graphs.
"""

import torch
from torch import Tensor

from pyg_diffpool.ops.pooled import Pooled


def padded_pool(
    x: Tensor,  # [B, M, C]
    adj: Tensor,  # [B, M, M]
    s: Tensor,  # [B, M, K], rows of padding are 0
) -> Pooled:
    r"""Pool every graph of the mini-batch."""
    k = s.size(-1)
    right = torch.cat([x, adj @ s, s], -1)
    out = s.transpose(1, 2) @ right
    return Pooled(out[..., : -2 * k], out[..., -2 * k : -k], out[..., -k:])
