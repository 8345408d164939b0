"""The level on CUDA: which kernels are launched, in what sizes."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from pyg_diffpool import _triton
from pyg_diffpool._engine import KernelLevel, new_level

WHOLE = 2**30  # rows of a chunk that is a whole graph
LENGTH = 128  # else
CELLS = 2048  # entries of a block that are at hand at once


class Blocks(NamedTuple):
    """Constants of each kernel: what a program has at hand at once."""

    softmax: dict[str, int]
    edges: dict[str, int]
    dense: dict[str, Any]
    contract: dict[str, Any]
    gradient: dict[str, Any]


def blocks(k: int, c: int, dtype: torch.dtype) -> Blocks:
    """Those for K clusters and C channels, by which hardly a register is spilled.

    Products of float32 are made of three of tf32, which is exact to rounding, or where
    torch's may be short, of one.
    """
    matmul = torch.backends.cuda.matmul
    allowed = getattr(matmul, "fp32_precision", None) or matmul.allow_tf32
    is_short = allowed in (True, "tf32") or dtype.itemsize < 4
    return _blocks(k, c, is_short, torch.are_deterministic_algorithms_enabled())


@lru_cache
def _blocks(k: int, c: int, is_short: bool, is_ordered: bool) -> Blocks:
    wide, channels = (max(16, triton.next_power_of_2(size)) for size in (k, c))
    columns, rows = min(channels, 64), 16 if wide > 64 else 32
    warps = {"num_warps": 8 if wide >= 64 else 4, "num_stages": 1}
    dots = {**warps, "PRECISION": "tf32" if is_short else "tf32x3"}
    chunks = {**dots, "LENGTH": WHOLE if is_ordered else LENGTH}
    return Blocks(
        softmax={"ROWS": CELLS // wide, "K": wide, "BLOCK": 1024},
        edges={"EDGES": CELLS // wide, "K": wide},
        dense={**dots, "ROWS": 16, "K": wide},
        contract={**chunks, "ROWS": 32, "K": min(wide, 64), "C": columns},
        gradient={**chunks, "ROWS": rows, "K": wide, "C": columns, "L": 16},
    )


def sparse_forward(
    x: Tensor,  # [N, C]
    value: Tensor | None,  # [E]
    logits: Tensor,  # [N, K]
    divisors: Tensor,  # [2]
    dtype: torch.dtype,  # of the losses
    gradient: bool,
    ptr: Tensor,  # [B + 1]
    row: Tensor,  # [E]
    col: Tensor,  # [E]
) -> KernelLevel:
    """The level of a sparse mini-batch."""
    (n, k), b, e = logits.shape, ptr.numel() - 1, row.numel()
    out, use = new_level(x, logits, b, dtype, gradient), blocks(k, x.size(1), x.dtype)
    edges, w = (row, col, value), out.w if gradient else None
    with torch.cuda.device_of(x):
        part = _start(out, logits, None, value, (out.y, w), use)
        if use.contract["LENGTH"] == WHOLE:
            _add_in_order(out, *edges, w)
        elif e:
            grid = (triton.cdiv(e, use.edges["EDGES"]),)
            _triton._edge_kernel[grid](*edges, out.s, out.y, w, e, k, **use.edges)
        _contract(out, x, None, ptr, 0, use)
        terms = part.new_empty(triton.cdiv(b * k * k, CELLS), 2)
        pooled = out.adj, out.gram, terms, k, b * k * k
        _triton._terms_kernel[(terms.size(0),)](*pooled, BLOCK=CELLS)
        count = e if value is None else 0
        _finish(out, part, part, terms, count, divisors)
        tiles = triton.cdiv(k, 16)
        exact = part.new_empty(b * tiles**2 + triton.cdiv(e, 128), 2)
        given = out.s, *edges, ptr, out.norm, exact, b, e, n, k, tiles
        _triton._exact_kernel[(exact.size(0),)](*given, ROWS=16, K=16, EDGES=128)
        _finish(out, part, part, exact, count, divisors, is_exact=True)
    return out


def dense_forward(
    x: Tensor,  # [B, M, C]
    adj: Tensor,  # [B, M, M]
    logits: Tensor,  # [B, M, K]
    mask: Tensor | None,  # [B, M]
    divisors: Tensor,  # [2]
    dtype: torch.dtype,  # of the losses
    gradient: bool,
    hides: bool,
) -> KernelLevel:
    """The level of a padded mini-batch, whatever padding of x, or of A, holds."""
    b, m, k = logits.shape
    out, use = new_level(x, logits, b, dtype, gradient), blocks(k, x.size(2), x.dtype)
    with torch.cuda.device_of(x):
        part = _start(out, logits, mask, None, (None, None), use)
        squares = part.new_empty(b, triton.cdiv(m, use.dense["ROWS"]), 2)
        sums = out.y, out.w if gradient else None, squares
        grid, hidden = tuple(squares.shape[:2]), mask if hides else None
        _triton._dense_kernel[grid](
            adj.contiguous(), out.s, hidden, *sums, m, k, **use.dense
        )
        _contract(out, x, mask, None, m, use)
        _finish(out, squares.flatten(0, 1), part, None, 0, divisors)
    return out


def _start(
    out: KernelLevel,
    logits: Tensor,
    mask: Tensor | None,
    value: Tensor | None,
    zeros: tuple[Tensor | None, Tensor | None],
    use: Blocks,
) -> Tensor:
    """Fill in S; parts of the sums that end in the losses, `[P, 2]`, float64."""
    k, e = logits.size(-1), 0 if value is None else value.numel()
    n = logits.numel() // k
    part = out.norm.new_empty(triton.cdiv(n, use.softmax["ROWS"]), 2)
    filled = out.s, *zeros, out.x, out.adj, out.gram
    sizes = n, k, e, out.x.numel(), out.adj.numel()
    given = logits.contiguous(), mask, *filled, value, part, *sizes
    _triton._softmax_kernel[(part.size(0),)](*given, **use.softmax)
    return part


def _add_in_order(
    out: KernelLevel, row: Tensor, col: Tensor, value: Tensor | None, w: Tensor | None
) -> None:
    """Y and W, always by the same order of additions."""
    for to, source, sums in ((row, col, out.y), (col, row, w)):
        if sums is not None:
            messages = out.s[source].float()
            messages = messages if value is None else value.unsqueeze(-1) * messages
            sums.index_add_(0, to, messages)


def _chunks(num_rows: int, num_graphs: int, m: int, length: int) -> int:
    """How many `_chunk` numbers; m is 0 beside `ptr`."""
    per_graph = -(-m // length)
    return num_graphs * per_graph if m else num_rows // length + num_graphs


def _contract(
    out: KernelLevel,
    x: Tensor,
    mask: Tensor | None,
    ptr: Tensor | None,
    m: int,
    use: Blocks,
) -> None:
    (b, k, c), width = out.x.shape, use.contract["C"]
    chunks = _chunks(out.s.numel() // k, b, m, use.contract["LENGTH"])
    columns = triton.cdiv(c, width) + 2 * triton.cdiv(k, width)
    grid = chunks, triton.cdiv(k, use.contract["K"]), columns
    given = x.contiguous(), out.y, out.s, mask, ptr, out.x, out.adj, out.gram
    _triton._contract_kernel[grid](*given, b, m, c, k, **use.contract)


def _finish(
    out: KernelLevel,
    squares: Tensor,
    entropies: Tensor,
    terms: Tensor | None,
    num_edges: int,
    divisors: Tensor,
    is_exact: bool = False,
) -> None:
    given = squares, entropies, terms, divisors, *out[3:5], out.norm
    sizes = [0 if part is None else part.size(0) for part in given[:3]]
    constants: Any = {"EXACT": is_exact, "BLOCK": 1024}
    _triton._finish_kernel[(1,)](*given, *sizes, num_edges, **constants)


def gradients(
    x: Tensor,  # [N, C] or [B, M, C]
    kept: Sequence[Tensor],  # S, G, Y, W and the norm
    divisors: Tensor,  # [2]
    needs: Sequence[bool],  # for x, A and the logits
    grads: Sequence[Tensor | None],  # of x, adj, s, both losses and the Gram matrix
    ptr: Tensor | None = None,  # [B + 1]
    mask: Tensor | None = None,  # [B, M]
) -> tuple[Tensor | None, ...]:
    """The gradients of x and of the logits, T for that of A, and r."""
    s, gram, y, w, norm = kept
    (b, k), c, m = gram.shape[:2], x.size(-1), 0 if ptr is not None else s.size(1)
    use, likes = blocks(k, c, x.dtype).gradient, (x, y, s)
    wanted = zip(needs, likes, strict=True)
    out_x, t, out_s = (i.new_empty(i.shape) if need else None for need, i in wanted)
    rate = gram.new_empty(())
    grads = [grad if grad is None else grad.contiguous() for grad in grads]
    given = x.contiguous(), y, w, s, mask, ptr, gram, norm, divisors, *grads
    with torch.cuda.device_of(x):
        grid = (_chunks(s.numel() // k, b, m, use["LENGTH"]),)
        _triton._gradient_kernel[grid](*given, out_x, t, out_s, rate, b, m, c, k, **use)
    return out_x, out_s, t, rate
