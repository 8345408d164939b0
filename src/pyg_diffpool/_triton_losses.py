"""The losses of a level on CUDA, in float64: sums of what its kernels left."""

import triton
import triton.language as tl

from pyg_diffpool._level import CANCELLATION, RESOLUTION
from pyg_diffpool._triton import _BLOCK, _edges, _entries, _jit, is_last

_CANCELLATION, _RESOLUTION = tl.constexpr(CANCELLATION), tl.constexpr(RESOLUTION)


@triton.jit
def _total(part, count):
    """The sum of these numbers."""
    total = tl.zeros([_BLOCK], tl.float64)
    for start in range(0, count, _BLOCK):
        at = start + tl.arange(0, _BLOCK)
        total += tl.load(part + at, mask=at < count, other=0.0, cache_modifier=".cg")
    return tl.sum(total, 0)


@triton.jit
def _exact_trace(
    s, row, col, value, num_edges, k, EDGES: tl.constexpr, K: tl.constexpr
):
    """A share of the trace of A', from S, by edges."""
    trace = tl.zeros([EDGES], tl.float64)
    step = tl.num_programs(0).to(tl.int64) * EDGES
    for begin in range(tl.program_id(0).to(tl.int64) * EDGES, num_edges, step):
        edge = begin + tl.arange(0, EDGES)
        there, i, j, v = _edges(row, col, value, edge, num_edges)
        for start in range(0, k, K):
            c = start + tl.arange(0, K)
            one = _entries(s, i, c, there, c < k, k, 1).to(tl.float64)
            other = _entries(s, j, c, there, c < k, k, 1).to(tl.float64)
            trace += v.to(tl.float64) * tl.sum(one * other, 1)
    return tl.sum(trace, 0)


@triton.jit
def _exact_square(s, ptr, num_graphs, k, K: tl.constexpr):
    """A share of :math:`|G|^2`, from S, by blocks of G."""
    square = tl.zeros([K], tl.float64)
    blocks = tl.cdiv(k, K)
    for block in range(
        tl.program_id(0), num_graphs * blocks * blocks, tl.num_programs(0)
    ):
        graph, part = block // (blocks * blocks), block % (blocks * blocks)
        i, j = (
            part // blocks * K + tl.arange(0, K),
            part % blocks * K + tl.arange(0, K),
        )
        g = tl.zeros([K, K], tl.float64)
        end = tl.load(ptr + graph + 1)
        for start in range(tl.load(ptr + graph), end, K):
            r = start + tl.arange(0, K)
            left = _entries(s, r, i, r < end, i < k, k, 1).to(tl.float64)
            right = _entries(s, r, j, r < end, j < k, k, 1).to(tl.float64)
            g += tl.sum(left[:, :, None] * right[:, None, :], 0)
        square += tl.sum(g * g, 0)
    return tl.sum(square, 0)


@_jit
def _losses_kernel(
    s, row, col, value, ptr, entropies, squares, terms, parts, done, divisors,
    link, entropy, norm, num_graphs, num_edges, num_entropies, num_squares, k,
    EXPANDED: tl.constexpr, EDGES: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """Both losses and the norm.

    EXPANDED, where little is left of the norm's terms, all programs compute what
    rounding has spoilt once more from S, and the last of them sums up.
    """
    program, programs = tl.program_id(0), tl.num_programs(0)
    square = num_edges.to(tl.float64)
    if squares is not None:
        square = _total(squares, num_squares)
    scale, is_writer = square, program == 0
    if EXPANDED:
        of_edges, of_gram = square, _total(terms + num_graphs, num_graphs)
        scale = of_edges + of_gram
        square = scale - 2 * _total(terms, num_graphs)
        if square < _CANCELLATION * scale:
            trace = _exact_trace(s, row, col, value, num_edges, k, EDGES, K)
            tl.store(parts + program, trace)
            of_gram = _exact_square(s, ptr, num_graphs, k, K)
            tl.store(parts + programs + program, of_gram)
            is_writer = is_last(done + num_graphs, programs)
            if is_writer:
                scale = of_edges + _total(parts + programs, programs)
                square = scale - 2 * _total(parts, programs)
    if is_writer:
        is_rounding = (square <= _RESOLUTION * scale) & (square < float("inf"))
        length = tl.sqrt(tl.where(is_rounding, 0.0, square))
        tl.store(norm, length)
        tl.store(link, (length / tl.load(divisors)).to(link.dtype.element_ty))
        total = _total(entropies, num_entropies) / tl.load(divisors + 1)
        tl.store(entropy, total.to(entropy.dtype.element_ty))
