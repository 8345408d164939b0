"""One level of pooling, from logits or given clusters to the losses, in either form.

Fused where it can be. A compiler fuses by itself, half precision and the binary
cross-entropy go the plain way.
"""

import torch
from torch import Tensor

from pyg_diffpool import losses
from pyg_diffpool.assignment import assign, mask_logits
from pyg_diffpool.fused import Level, LossScale, fused_flat, fused_padded
from pyg_diffpool.graphs import FlatGraph
from pyg_diffpool.ops import padded_pool, sparse_pool
from pyg_diffpool.options import Link
from pyg_diffpool.padding import pad, pad_rows, slots


def flat_level(
    x: Tensor,  # [N, C]
    graph: FlatGraph,
    s: Tensor,  # [N, K], or [N] clusters
    exists: Tensor | None,  # [B, K]; None is all
    k: int,
    link: Link,
    scale: LossScale,
) -> Level:
    """By the sparse backend."""
    exists = None if exists is None else exists[graph.batch]
    if _can_fuse(x, s, link):
        return fused_flat(x, graph.sparse, mask_logits(s, exists, x.dtype), scale)
    p, entropy = assign(s, exists, k, x.dtype)
    pooled = sparse_pool(x, graph.sparse, p)
    if link == "bce":
        loss = losses.sparse_bce(graph.sparse, p)
    else:
        loss = losses.sparse_frobenius(graph.sparse, p, pooled)
    return Level(pooled.x, pooled.adj, p, *scale.divide(loss, entropy.sum()))


def flat_level_by_padding(
    x: Tensor,  # [N, C]
    graph: FlatGraph,
    s: Tensor,  # [N, K], or [N] clusters
    exists: Tensor | None,  # [B, K]; None is all
    k: int,
    link: Link,
    scale: LossScale,
) -> Level:
    """The same by the padded backend."""
    sparse, m = graph.sparse, int(graph.max_num_nodes)
    slot = slots(graph.batch, sparse.ptr, m)
    edges = torch.stack([sparse.row, sparse.col])
    x, adj, mask = pad(x, edges, sparse.weight, slot, graph.batch_size, m)
    s = pad_rows(s.view(s.size(0), -1), slot, *mask.shape)
    s = s if s.is_floating_point() else s.squeeze(-1)
    level = padded_level(x, adj, mask, s, exists, k, link, scale)
    return level._replace(s=level.s.flatten(0, 1).index_select(0, slot))


def padded_level(
    x: Tensor,  # [B, M, C]
    adj: Tensor,  # [B, M, M]
    mask: Tensor | None,  # [B, M]; None is all
    s: Tensor,  # [B, M, K], or [B, M] clusters
    exists: Tensor | None,  # [B, K]; None is all
    k: int,
    link: Link,
    scale: LossScale,
) -> Level:
    """On padded blocks, zeros where there is no node."""
    exists = None if exists is None else exists.unsqueeze(1)
    if _can_fuse(x, s, link):
        return fused_padded(x, adj, mask_logits(s, exists, x.dtype), mask, scale)
    p, entropy = assign(s, exists, k, x.dtype)
    if mask is not None:
        p = p.masked_fill(~mask.unsqueeze(-1), 0)
        entropy = entropy.masked_fill(~mask, 0)
    pooled_x, pooled_adj = padded_pool(x, adj, p)
    if link == "bce":
        loss = losses.padded_bce(adj, p, mask)
    else:
        loss = losses.padded_frobenius(adj, p, pooled_adj)
    return Level(pooled_x, pooled_adj, p, *scale.divide(loss, entropy.sum()))


def _can_fuse(x: Tensor, s: Tensor, link: Link) -> bool:
    if torch.compiler.is_compiling() or torch.is_autocast_enabled(x.device.type):
        return False  # which work on single operations
    return s.is_floating_point() and x.dtype.itemsize >= 4 and link == "frobenius"
