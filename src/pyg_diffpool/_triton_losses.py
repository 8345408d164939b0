"""The losses of a level on CUDA: parts by many programs, and their sums, in float64."""

import triton
import triton.language as tl

from pyg_diffpool._level import CANCELLATION, RESOLUTION
from pyg_diffpool._triton import _BLOCK, _edges, _entries, _jit

_CANCELLATION, _RESOLUTION = tl.constexpr(CANCELLATION), tl.constexpr(RESOLUTION)


@triton.jit
def _total(part, count):
    """The sum of these numbers."""
    total = tl.zeros([_BLOCK], tl.float64)
    for start in range(0, count, _BLOCK):
        at = start + tl.arange(0, _BLOCK)
        total += tl.load(part + at, mask=at < count, other=0.0)
    return tl.sum(total, 0)


@_jit
def _terms_kernel(
    s, adj, gram, row, col, value, ptr, norm, terms, num_graphs, num_edges, num_terms,
    k, blocks, EXACT: tl.constexpr, EDGES: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """Parts of :math:`|A|^2`, of the trace of A' and of :math:`|G|^2`.

    EXACT where little was left of the norm: from S, in float64.
    """
    program = tl.program_id(0).to(tl.int64)
    is_due = tl.load(norm + 1) != 0 if EXACT else True
    if is_due:
        edge = program * EDGES + tl.arange(0, EDGES)
        there, source, target, v = _edges(row, col, value, edge, num_edges)
        v = v.to(tl.float64)
        graph, block = program // (blocks * blocks), program % (blocks * blocks)
        i = block // blocks * K + tl.arange(0, K)
        j = block % blocks * K + tl.arange(0, K)
        if EXACT:
            first = tl.load(ptr + tl.minimum(graph, num_graphs))
            end = tl.load(ptr + tl.minimum(graph + 1, num_graphs))
            g = tl.zeros([K, K], tl.float64)
            for start in range(first, end, K):
                r = start + tl.arange(0, K)
                left = _entries(s, r, i, r < end, i < k, k, 1).to(tl.float64)
                right = _entries(s, r, j, r < end, j < k, k, 1).to(tl.float64)
                g += tl.sum(left[:, :, None] * right[:, None, :], 0)
            trace = tl.zeros([EDGES], tl.float64)
            for start in range(0, k, K):
                c = start + tl.arange(0, K)
                one = _entries(s, source, c, there, c < k, k, 1).to(tl.float64)
                other = _entries(s, target, c, there, c < k, k, 1).to(tl.float64)
                trace += v * tl.sum(one * other, 1)
        else:
            at, size = graph * k * k, tl.where(graph < num_graphs, k, 0)
            g = _entries(gram + at, i, j, i < size, j < k, k, 1).to(tl.float64)
            on_diagonal = (i < size) & (i == j)
            trace = tl.load(adj + at + i * (k + 1), mask=on_diagonal, other=0.0)
            trace = trace.to(tl.float64)
        tl.store(terms + program, tl.sum(v * v, 0))
        tl.store(terms + num_terms + program, tl.sum(trace, 0))
        tl.store(terms + 2 * num_terms + program, tl.sum(tl.sum(g * g, 0), 0))


@_jit
def _finish_kernel(
    terms, entropies, divisors, link, entropy, norm, num_terms, num_entropies,
    EXPANDED: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """Both losses, the norm, and whether little was left of its terms."""
    is_due = tl.load(norm + 1) != 0 if EXACT else True
    if is_due:
        square = _total(terms, num_terms)
        scale = square
        if EXPANDED:
            of_gram = _total(terms + 2 * num_terms, num_terms)
            square += of_gram - 2 * _total(terms + num_terms, num_terms)
            scale += of_gram
        is_near = square < _CANCELLATION * scale
        tl.store(norm + 1, is_near.to(tl.float64))
        is_rounding = (square <= _RESOLUTION * scale) & (square < float("inf"))
        length = tl.sqrt(tl.where(is_rounding, 0.0, square))
        tl.store(norm, length)
        tl.store(link, (length / tl.load(divisors)).to(link.dtype.element_ty))
        total = _total(entropies, num_entropies) / tl.load(divisors + 1)
        tl.store(entropy, total.to(entropy.dtype.element_ty))
