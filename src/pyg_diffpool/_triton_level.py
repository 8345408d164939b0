"""The level on CUDA: which kernels are launched, in what sizes."""

from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from pyg_diffpool import _triton, _triton_losses
from pyg_diffpool._engine import KernelLevel, new_level

WHOLE = 2**30  # rows of a chunk that is a whole graph
SUMMED, LENGTH = 256, 128  # else, where a chunk's sums are added in memory or not
CELLS = 2048  # entries of some rows
TILE, EDGES = 16, 128  # of G, and of A, in float64

Constants = dict[str, Any]


def blocks(k: int, c: int, dtype: torch.dtype) -> tuple[Constants, ...]:
    """What programs have at hand at once: those by rows, of products, and by chunks.

    Products of float32 are made of three of tf32, which is exact to rounding, or where
    torch's may be short, of one.
    """
    matmul = torch.backends.cuda.matmul
    allowed = getattr(matmul, "fp32_precision", None) or matmul.allow_tf32
    is_short = allowed in (True, "tf32") or dtype.itemsize < 4
    is_ordered = torch.are_deterministic_algorithms_enabled()
    wide, channels = (max(16, triton.next_power_of_2(size)) for size in (k, c))
    products = {
        "ROWS": 16,
        "K": wide,
        "TF32": "tf32" if is_short else "tf32x3",
        "num_warps": 8 if wide >= 64 else 4,
        "num_stages": 1,
        "maxnreg": 255,  # of fewer, so that more programs run at once, some are spilled
    }
    chunks = {
        "LENGTH": WHOLE if is_ordered else LENGTH,
        "ROWS": 16 if wide > 64 else 32,
        "C": min(channels, 64),
    }
    return {"ROWS": CELLS // wide, "K": wide}, products, products | chunks


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
    k, b, e = logits.size(1), ptr.numel() - 1, row.numel()
    out = new_level(x, logits, b, dtype, gradient)
    rows, _, chunks = blocks(k, x.size(1), x.dtype)
    edges, sums = (row, col, value), (out.y, out.w if gradient else None)
    with torch.cuda.device_of(x):
        entropies = _softmax(out, logits, None, *sums, rows)
        if torch.are_deterministic_algorithms_enabled():
            _add_in_order(out.s, *edges, *sums)
        else:
            grid = (triton.cdiv(e, rows["ROWS"]),)
            _triton._edge_kernel[grid](*edges, out.s, *sums, e, k, **rows)
        _contract(out, x, None, ptr, 0, chunks)
        tiles = triton.cdiv(k, TILE)
        terms = entropies.new_empty(3, max(b * tiles**2, triton.cdiv(e, EDGES)))
        given = out.s, out.adj, out.gram, *edges, ptr, out.norm, terms
        sizes = b, e, terms.size(1), k, tiles
        for is_exact in (False, True):
            constants: Any = {"EXACT": is_exact, "EDGES": EDGES, "K": TILE}
            _triton_losses._terms_kernel[terms.shape[1:]](*given, *sizes, **constants)
            _finish(out, terms, entropies, divisors, is_exact=is_exact)
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
    out = new_level(x, logits, b, dtype, gradient)
    rows, products, chunks = blocks(k, x.size(2), x.dtype)
    with torch.cuda.device_of(x):
        entropies = _softmax(out, logits, mask, None, None, rows)
        grid = b, triton.cdiv(m, products["ROWS"])
        squares = entropies.new_empty(1, b * grid[1])
        given = adj.contiguous(), out.s, mask if hides else None
        sums = out.y, out.w if gradient else None, squares
        _triton._dense_kernel[grid](*given, *sums, m, k, **products)
        _contract(out, x, mask, None, m, chunks)
        _finish(out, squares, entropies, divisors)
    return out


def _softmax(
    out: KernelLevel,
    logits: Tensor,
    mask: Tensor | None,
    y: Tensor | None,  # to begin with zeros, as is w
    w: Tensor | None,
    rows: Constants,
) -> Tensor:
    """Fill in S, and zeros to add to; parts of the entropy, `[P]`, float64."""
    n, k = logits.flatten(0, -2).shape
    entropies = out.norm.new_empty(triton.cdiv(n, rows["ROWS"]))
    given = logits.contiguous(), mask, out.s, entropies, out.x, out.adj, out.gram, y, w
    sizes = n, k, out.x.numel(), out.adj.numel()
    _triton._softmax_kernel[entropies.shape](*given, *sizes, **rows)
    return entropies


def _add_in_order(
    s: Tensor, row: Tensor, col: Tensor, value: Tensor | None, *sums: Tensor | None
) -> None:
    """Y and W, always by the same order of additions."""
    for to, source, out in zip((row, col), (col, row), sums, strict=True):
        if out is not None:
            messages = s[source].float()
            messages = messages if value is None else value.unsqueeze(-1) * messages
            out.index_add_(0, to, messages)


def _contract(
    out: KernelLevel,
    x: Tensor,
    mask: Tensor | None,
    ptr: Tensor | None,
    m: int,  # or 0 beside `ptr`
    chunks: Constants,
) -> None:
    """Add to X', A' and G."""
    b, k, c = out.x.shape
    of_x, of_s = (triton.cdiv(size, chunks["C"]) for size in (c, k))
    chunks = {**chunks, "LENGTH": max(SUMMED, chunks["LENGTH"])}
    grid = ((out.y.numel() // k // chunks["LENGTH"] + b) * (of_x + 2 * of_s),)
    given = x.contiguous(), out.y, out.s, mask, ptr, out.x, out.adj, out.gram
    _triton._contract_kernel[grid](*given, b, m, c, k, **chunks)


def _finish(out: KernelLevel, *sums: Tensor, is_exact: bool = False) -> None:
    """Fill in the losses and the norm."""
    terms, entropies, _ = sums
    given = *sums, out.link_loss, out.entropy_loss, out.norm, terms.size(1)
    constants: Any = {"EXPANDED": terms.size(0) > 1, "EXACT": is_exact}
    _triton_losses._finish_kernel[(1,)](*given, entropies.numel(), **constants)


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
    chunks, likes = blocks(k, c, x.dtype)[-1], (x, y, s)
    wanted = zip(needs, likes, strict=True)
    out_x, t, out_s = (i.new_empty(i.shape) if need else None for need, i in wanted)
    rate = gram.new_empty(())
    grads = [grad if grad is None else grad.contiguous() for grad in grads]
    given = x.contiguous(), y, w, s, mask, ptr, gram, norm, divisors, *grads
    with torch.cuda.device_of(x):
        grid, outs = (y.numel() // k // chunks["LENGTH"] + b,), (out_x, t, out_s, rate)
        _triton._gradient_kernel[grid](*given, *outs, b, m, c, k, **chunks)
    return out_x, out_s, t, rate
