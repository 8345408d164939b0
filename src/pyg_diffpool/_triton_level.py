"""The level on CUDA: which kernels are launched, in what sizes."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_diffpool import _triton, _triton_losses
from pyg_diffpool._engine import KernelLevel, new_level
from pyg_diffpool._triton_launch import Launcher, cdiv, launcher, variant

WHOLE = 2**30  # rows of a chunk that is a whole graph
SUMMED = 256  # rows of a chunk else, whose sums are added in memory
CELLS = 2048  # entries of some rows
PROGRAMS = 128  # that may share in the losses
EXACT = {"EDGES": 128, "K": 16}  # edges, and rows of G, at once in float64

Constants = dict[str, Any]


class Blocks(NamedTuple):
    """What programs have at hand at once."""

    rows: Constants  # by rows alone
    dense: Constants  # of a dense A
    contract: Constants
    gradient: Constants


def is_short(dtype: torch.dtype) -> bool:
    """Whether a product of float32 may be one of tf32, as torch's may.

    Else it is made of three, which is exact to rounding.
    """
    matmul = torch.backends.cuda.matmul
    allowed = getattr(matmul, "fp32_precision", None) or matmul.allow_tf32
    return allowed in (True, "tf32") or dtype.itemsize < 4


@lru_cache
def blocks(k: int, c: int, is_short: bool) -> Blocks:
    """Those for so many clusters and channels."""
    wide, channels = (max(16, 1 << (size - 1).bit_length()) for size in (k, c))
    products = {
        "TF32": "tf32" if is_short else "tf32x3",
        "num_warps": 8 if wide >= 64 else 4,
        "num_stages": 1,
        "maxnreg": 255,  # of fewer, so that more programs run at once, some are spilled
    }
    # No product has 64 rows or more, of which Triton 3.6 has eight warps read amiss.
    part = {"ROWS": 32, "K": min(wide, 32), "C": min(channels, 64), "num_warps": 4}
    rows = {"ROWS": 16 if wide > 64 else 32, "C": min(channels, 64)}
    return Blocks(
        rows={"ROWS": CELLS // wide, "K": wide, "maxnreg": 255},
        dense={**products, "ROWS": 16, "K": wide},
        contract={**products, **part},
        gradient={**products, **rows, "K": wide},
    )


class _Sums(NamedTuple):
    """What the losses are made of, float64 but for the last."""

    entropies: Tensor  # [P]
    squares: Tensor | None  # [Q], of the norm or of A; `None` is edges of weight 1
    terms: Tensor | None = None  # [2 * B], of A' and G
    parts: Tensor | None = None  # [2 * PROGRAMS]
    done: Tensor | None = None  # [B + 1], programs at their end, int32


def _allot(like: Tensor, *sizes: int) -> list[Tensor]:
    """Parts of one float64 tensor of at least these sizes, each aligned."""
    even = [2 * cdiv(size, 2) for size in sizes]
    return [*like.new_empty(sum(even), dtype=torch.double).split(even)]


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
    (n, k), c, b, e = logits.shape, x.size(1), ptr.numel() - 1, row.numel()
    short, is_ordered = is_short(x.dtype), torch.are_deterministic_algorithms_enabled()
    rows, _, contract, _ = blocks(k, c, short)
    out = new_level(x, logits, b, dtype, gradient)
    kind = "sparse", x.device, dtype, k, c, gradient, short, is_ordered
    given = x, value, logits, divisors, ptr, row, col
    launch = launcher(kind, given, (n, e, out.x.numel(), out.adj.numel()))
    edges, y, w = (row, col, value), out.y, out.w if gradient else None
    parts = cdiv(n, rows["ROWS"]), cdiv(e, rows["ROWS"]), 2 * b, 2 * PROGRAMS
    entropies, squares, terms, exact = _allot(x, *parts)
    done = row.new_empty(b + 1, dtype=torch.int)
    sums = _Sums(entropies, None if value is None else squares, terms, exact, done)
    with torch.cuda.device_of(x):
        _softmax(launch, out, logits, None, y, w, sums, rows)
        if is_ordered:
            _add_in_order(out.s, *edges, y, w, sums.squares)
        else:
            grid = (2 * cdiv(parts[1], 2),)
            summed = *edges, out.s, y, w, sums.squares, e, k
            launch(_triton._edge_kernel, grid, *summed, **rows)
        _contract(launch, out, x, None, ptr, 0, sums, contract)
        _losses(launch, out, (*edges, ptr), sums, divisors)
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
    (b, m, k), c = logits.shape, x.size(2)
    short, is_ordered = is_short(x.dtype), torch.are_deterministic_algorithms_enabled()
    rows, dense, contract, _ = blocks(k, c, short)
    out = new_level(x, logits, b, dtype, gradient)
    kind = x.device, dtype, variant(m), k, c, hides, gradient, short, is_ordered
    given = x, adj, logits, mask, divisors
    sizes = b * m, out.x.numel(), out.adj.numel()
    launch = launcher(("dense", *kind), given, sizes)
    grid = b, cdiv(m, dense["ROWS"])
    entropies, squares = _allot(x, cdiv(b * m, rows["ROWS"]), grid[0] * grid[1])
    sums = _Sums(entropies, squares[: grid[0] * grid[1]])
    with torch.cuda.device_of(x):
        _softmax(launch, out, logits, mask, None, None, sums, rows)
        found = out.y, out.w if gradient else None, sums.squares
        sources = adj.contiguous(), out.s, mask if hides else None
        launch(_triton._dense_kernel, grid, *sources, *found, m, k, **dense)
        _contract(launch, out, x, mask, None, m, sums, contract)
        _losses(launch, out, (None,) * 4, sums, divisors)
    return out


def edge_sum(
    x: Tensor,  # [N, C]
    value: Tensor | None,  # [E], float32
    to: Tensor,  # [E]
    source: Tensor,  # [E]
) -> Tensor:
    """Rows of x summed over edges, `[N, C]`, float32."""
    c, e, out = x.size(1), to.numel(), x.new_zeros(x.shape, dtype=torch.float)
    constants = blocks(c, c, True).rows
    kind = "sum", x.device, c
    launch = launcher(kind, (x, value, to, source), (e,))
    with torch.cuda.device_of(x):
        given = to, source, value, x.contiguous(), out, None, None, e, c
        launch(_triton._edge_kernel, (cdiv(e, constants["ROWS"]),), *given, **constants)
    return out


def _softmax(
    launch: Launcher,
    out: KernelLevel,
    logits: Tensor,
    mask: Tensor | None,
    y: Tensor | None,  # to begin with zeros, as is w
    w: Tensor | None,
    sums: _Sums,
    rows: Constants,
) -> None:
    """Fill in S and parts of the entropy, and zeros to add to."""
    n, k = logits.flatten(0, -2).shape
    made = out.x, out.adj, out.gram, y, w, sums.done
    given = logits.contiguous(), mask, out.s, sums.entropies, *made
    sizes = n, k, out.x.numel(), out.adj.numel(), out.x.size(0)
    kernel, grid = _triton._softmax_kernel, (sums.entropies.numel(),)
    launch(kernel, grid, *given, *sizes, **rows)


def _add_in_order(
    s: Tensor,
    row: Tensor,
    col: Tensor,
    value: Tensor | None,
    y: Tensor,
    w: Tensor | None,
    squares: Tensor | None,  # [Q]
) -> None:
    """Y, W and the square of A, always by the same order of additions."""
    for to, source, out in ((row, col, y), (col, row, w)):
        if out is not None:
            messages = s[source].float()
            messages = messages if value is None else value.unsqueeze(-1) * messages
            out.index_add_(0, to, messages)
    if value is not None and squares is not None:
        squares.zero_()[:1] = value.double().square().sum()


def _contract(
    launch: Launcher,
    out: KernelLevel,
    x: Tensor,
    mask: Tensor | None,
    ptr: Tensor | None,
    m: int,  # or 0 beside `ptr`
    sums: _Sums,
    contract: Constants,
) -> None:
    """Add to X', A' and G."""
    b, k, c = out.x.shape
    columns = cdiv(c, contract["C"]) + 2 * cdiv(k, contract["C"])
    length = WHOLE if torch.are_deterministic_algorithms_enabled() else SUMMED
    chunks = out.y.numel() // k // length + b
    grid = (chunks * cdiv(k, contract["K"]) * columns,)
    given = x.contiguous(), out.y, out.s, mask, ptr, out.x, out.adj, out.gram
    rest = sums.done, sums.terms, b, m, c, k
    launch(_triton._contract_kernel, grid, *given, *rest, LENGTH=length, **contract)


def _losses(
    launch: Launcher,
    out: KernelLevel,
    where: Sequence[Tensor | None],  # row, column and weight of edges, and `ptr`
    sums: _Sums,
    divisors: Tensor,
) -> None:
    """Fill in the losses and the norm."""
    (b, k), row, is_expanded = out.gram.shape[:2], where[0], sums.terms is not None
    e, p = 0 if row is None else row.numel(), sums.entropies.numel()
    q = 0 if sums.squares is None else sums.squares.numel()
    programs = 1
    if is_expanded:
        most = max(b * cdiv(k, EXACT["K"]) ** 2, cdiv(e, EXACT["EDGES"]))
        programs = min(most, PROGRAMS)
    given = out.s, *where, *sums, divisors, out.link_loss, out.entropy_loss, out.norm
    constants: Any = {"EXPANDED": is_expanded, **EXACT}
    kernel = _triton_losses._losses_kernel
    launch(kernel, (programs,), *given, b, e, p, q, k, **constants)


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
    short, likes = is_short(x.dtype), (x, y, s)
    constants = blocks(k, c, short).gradient
    wanted = zip(needs, likes, strict=True)
    out_x, t, out_s = (i.new_empty(i.shape) if need else None for need, i in wanted)
    rate = gram.new_empty(())
    grads = [grad if grad is None else grad.contiguous() for grad in grads]
    kind = "gradient", x.device, variant(m), k, c, short, *needs
    given = x.contiguous(), y, w, s, mask, ptr, gram, norm, divisors, *grads
    launch = launcher(kind, given, (y.numel() // k,))
    with torch.cuda.device_of(x):
        grid = (y.numel() // k // constants["ROWS"] + b,)
        rest = out_x, t, out_s, rate, b, m, c, k
        launch(_triton._gradient_kernel, grid, *given, *rest, **constants)
    return out_x, out_s, t, rate
