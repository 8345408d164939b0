"""The softmax of a fused level, its entropy, and the way back through both.

On a CPU a large matrix is gone through in blocks of rows that stay in the cache: whole
temporaries of 2.5 MB took three times as long, most of it spent on fresh memory.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from pyg_diffpool.assignment import finite_log, softmax_kernel
from pyg_diffpool.ops import device

BLOCK = 2**17  # elements


def softmax_into(
    s: Tensor,  # [..., K], is overwritten
    logits: Tensor,  # [..., K]
) -> Tensor:
    """Fill in the softmax; the entropy of each row `[...]`."""
    if _is_small(logits):
        return softmax_kernel(logits, s)[1]
    parts = _blocks(logits, s)
    return torch.cat([softmax_kernel(rows, out)[1] for rows, out in parts])


def softmax_backward(
    out: Tensor,  # [..., K], the gradient of s, is overwritten
    s: Tensor,  # [..., K]
    d_s: Tensor | None,
    d_entropy: Tensor | None,  # []
) -> Tensor:
    """The gradient of the logits."""
    if d_s is not None:
        out += d_s
    if _is_small(s):
        out = _less_entropy(out, s, d_entropy)
        return torch._softmax_backward_data(out, s, -1, s.dtype)
    for rows, p in _blocks(out, s):
        grad = _less_entropy(rows, p, d_entropy)
        grad.sub_(torch.linalg.vecdot(p, grad).unsqueeze(-1)).mul_(p)
    return out


def _less_entropy(out: Tensor, s: Tensor, d_entropy: Tensor | None) -> Tensor:
    if d_entropy is None:
        return out
    return out.addcmul_(d_entropy, finite_log(s), value=-1)


def _is_small(matrix: Tensor) -> bool:
    return matrix.numel() <= BLOCK or not device.is_readable(matrix)


def _blocks(*matrices: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Blocks of rows of the first matrix, with the same rows of the others."""
    rows = max(1, BLOCK // matrices[0].size(-1))
    flat = (m.flatten(0, -2) for m in matrices)
    return zip(*(m.split(rows) for m in flat), strict=True)
