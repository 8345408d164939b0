"""What a padded mini-batch must be."""

import torch
from torch import Tensor

from pyg_diffpool._checks.flat import check_not_empty
from pyg_diffpool._checks.tensors import (
    check_float,
    check_same_device,
    check_same_dtype,
)


def check_padded(x: Tensor, adj: Tensor, mask: Tensor | None) -> None:
    """`x` `[B, M, C]`, `adj` `[B, M, M]`, `mask` `[B, M]`."""
    check_same_device(x=x, adj=adj, mask=mask)
    check_float("x", x, (3,))
    check_float("adj", adj, (3,))
    check_same_dtype(x=x, adj=adj)
    b, m = x.shape[:2]
    check_not_empty(b * m)
    if adj.shape != (b, m, m):
        raise ValueError(
            f"Expected a dense 'adj' of shape [B, M, M] = [{b}, {m}, {m}] for an 'x' "
            f"of shape {list(x.shape)} (got {list(adj.shape)})."
        )
    check_mask(mask, b, m)


def check_dense(x: Tensor, adj: Tensor, s: Tensor, mask: Tensor | None) -> None:
    """What `dense_diff_pool` takes; as in PyG, one `adj` may stand for all graphs."""
    for name, value in (("x", x), ("adj", adj), ("s", s)):
        check_float(name, value, (2, 3))
    check_same_device(x=x, adj=adj, s=s, mask=mask)
    check_same_dtype(x=x, adj=adj, s=s if mask is None else None)
    b, m = x.size(0) if x.dim() == 3 else 1, x.size(-2)
    graphs = [t.size(0) if t.dim() == 3 else 1 for t in (s, adj)]
    rows = s.size(-2) == m and adj.shape[-2:] == (m, m)
    if not rows or graphs[0] != b or graphs[1] not in (1, b):
        raise ValueError(
            "Expected 'x' [B, M, C], 'adj' [B, M, M] and 's' [B, M, K] of the same B "
            f"and M (got {list(x.shape)}, {list(adj.shape)} and {list(s.shape)})."
        )
    if s.numel() < 1:
        raise ValueError(
            "Expected at least one graph, node and cluster (got 's' of shape "
            f"{list(s.shape)})."
        )
    if mask is not None and mask.numel() != b * m:
        raise ValueError(
            f"Expected 'mask' of shape [B, M] = [{b}, {m}] (got {list(mask.shape)})."
        )


def check_blocks(x: Tensor, s: Tensor, backend: str) -> None:
    """An `s` `[B, M, K]` that goes with a padded `x`."""
    check_same_device(x=x, s=s)
    check_same_dtype(x=x, s=s)
    b, m = x.shape[:2]
    if s.shape[:2] != (b, m) or s.dim() != 2 + s.is_floating_point():
        raise ValueError(
            f"Expected 's' of shape [B, M, K] = [{b}, {m}, K], or [B, M] if integer "
            f"(got {list(s.shape)})."
        )
    if backend == "sparse":
        raise ValueError(
            "Expected an edge list for backend='sparse' (got a dense 'adj'). Use "
            "backend='auto' or turn it into edges with 'to_flat'."
        )


def check_mask(mask: Tensor | None, batch_size: int, max_num_nodes: int) -> None:
    """`mask` `[B, M]`, boolean."""
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise TypeError(f"Expected 'mask' to be torch.bool (got {mask.dtype}).")
    if mask.shape != (batch_size, max_num_nodes):
        raise ValueError(
            f"Expected 'mask' of shape [B, M] = [{batch_size}, {max_num_nodes}] (got "
            f"{list(mask.shape)})."
        )


def check_num_blocks(batch_size: int | None, x: Tensor) -> None:
    """A `batch_size` beside `x` `[B, M, C]`, which says it already."""
    if batch_size is not None and batch_size != x.size(0):
        raise ValueError(
            f"Expected no 'batch_size' beside padded 'x', or B = {x.size(0)} (got "
            f"{batch_size})."
        )
