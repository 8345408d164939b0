r"""The level on CUDA: its formulas in a handful of Triton kernels.

A small mini-batch waits for launches, of which there are few here, and a large one for
memory, so nothing of size `E x K` is written. Both forms share all kernels but the
one for :math:`Y = A S` and :math:`W = A^\top S`, by which the gradient needs no second
look at A:

.. math::
    dS = X D_X^\top + Y D_A^\top + W D_A - r (Y + W) + S (2 r G + D_G + D_G^\top)

Rows are taken by chunks of one graph. Sums over graphs and edges are atomic; under
`torch.use_deterministic_algorithms` one program takes a whole graph, and torch sums
over edges. All sums are in float32, those of the norm in float64.
"""

import math

import torch
import triton
import triton.language as tl

_TINY = tl.constexpr(torch.finfo(torch.float).tiny)
_LOG_TINY = tl.constexpr(math.log(torch.finfo(torch.float).tiny))
_BLOCK = tl.constexpr(4096)  # numbers of one that are summed, or set to zero, at once
_INNER = tl.constexpr(16)  # columns of a factor that are multiplied at once

# What changes from one mini-batch to the next, of which no variants are compiled.
_jit = triton.jit(
    do_not_specialize=[
        "n", "size_x", "size_adj", "num_edges", "num_graphs", "num_entropies",
        "num_squares",
    ]
)  # fmt: skip


@triton.jit
def _real(mask, row, end):
    """Which of these rows are nodes."""
    there = row < end
    if mask is not None:
        there &= tl.load(mask + row, mask=there, other=0) != 0
    return there


@triton.jit
def _entries(source, i, j, is_row, is_column, down, across):
    """Entries of a matrix with these strides, float32, zeros where there are none."""
    at = i[:, None] * down + j[None, :] * across
    inside = is_row[:, None] & is_column[None, :]
    return tl.load(source + at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _store(out, values, i, j, is_row, width, ADDS: tl.constexpr = False):
    """Fill in rows of a matrix, or add to them what others add to as well."""
    at = i[:, None] * width + j[None, :]
    inside = is_row[:, None] & (j < width)[None, :]
    if ADDS:
        tl.atomic_add(out + at, values, mask=inside, sem="relaxed")
    else:
        tl.store(out + at, values.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _first_row(ptr, graph, m):
    """The first row of a graph; without `ptr` all have m."""
    return graph * m if ptr is None else tl.load(ptr + graph)


@triton.jit
def _chunk(t, ptr, num_graphs, m, LENGTH: tl.constexpr):
    """The graph of chunk t, its first row and the one after the last.

    Graph b has the chunks from `first_row // LENGTH + b` on: enough for its rows, and
    `N // LENGTH + B` in all, whatever the sizes.
    """
    t = t.to(tl.int64)
    graph, after = t * 0, t * 0 + num_graphs
    while after - graph > 1:
        middle = (graph + after) // 2
        is_before = _first_row(ptr, middle, m) // LENGTH + middle <= t
        graph = tl.where(is_before, middle, graph)
        after = tl.where(is_before, after, middle)
    first = _first_row(ptr, graph, m)
    start = first + (t - first // LENGTH - graph) * LENGTH
    return graph, start, tl.minimum(_first_row(ptr, graph + 1, m), start + LENGTH)


@triton.jit
def _edges(row, col, value, edge, num_edges):
    """Which of these edges there are, their ends and their weights."""
    there = edge < num_edges
    i = tl.load(row + edge, mask=there, other=0)
    j = tl.load(col + edge, mask=there, other=0)
    v = tl.where(there, 1.0, 0.0)
    if value is not None:
        v = tl.load(value + edge, mask=there, other=0.0).to(tl.float32)
    return there & (v != 0), i, j, v


@triton.jit
def _zero(out, size):
    """Zeros, a part of them by each program."""
    if out is not None:
        step = tl.num_programs(0).to(tl.int64) * _BLOCK
        for start in range(tl.program_id(0).to(tl.int64) * _BLOCK, size, step):
            at = start + tl.arange(0, _BLOCK)
            tl.store(out + at, tl.zeros([_BLOCK], tl.float32), mask=at < size)


@_jit
def _softmax_kernel(
    logits, mask, s, entropies, out_x, out_adj, gram, y, w, done, n, k, size_x,
    size_adj, num_graphs, ROWS: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """S, parts of the entropy, and zeros to add to."""
    program = tl.program_id(0).to(tl.int64)
    row, j = program * ROWS + tl.arange(0, ROWS), tl.arange(0, K)
    real = _real(mask, row, n)
    z = _entries(logits, row, j, real, j < k, k, 1)
    z = tl.where((j < k)[None, :], z, float("-inf"))
    z -= tl.max(z, 1)[:, None]
    log_p = z - tl.log(tl.sum(tl.exp(z), 1))[:, None]
    p = tl.where(real[:, None], tl.exp(log_p), 0.0)
    _store(s, p, row, j, row < n, k)
    log_p = tl.where(log_p < _LOG_TINY, _LOG_TINY, log_p)  # a clamp that keeps NaN
    tl.store(entropies + program, tl.sum(tl.sum(-p * log_p, 1).to(tl.float64), 0))
    _zero(out_x, size_x)
    _zero(out_adj, size_adj)
    _zero(gram, size_adj)
    _zero(y, n.to(tl.int64) * k)
    _zero(w, n.to(tl.int64) * k)
    _zero(done, num_graphs + 1)


@_jit
def _edge_kernel(
    row, col, value, s, y, w, squares, num_edges, k,
    ROWS: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """Y and W of a sparse A, and parts of :math:`|A|^2`, by edges."""
    program = tl.program_id(0).to(tl.int64)
    edge = program * ROWS + tl.arange(0, ROWS)
    there, i, j, v = _edges(row, col, value, edge, num_edges)
    if squares is not None:
        wide = v.to(tl.float64)
        tl.store(squares + program, tl.sum(wide * wide, 0))
    c = tl.arange(0, K)
    message = v[:, None] * _entries(s, j, c, there, c < k, k, 1)
    _store(y, message, i, c, there, k, True)
    if w is not None:
        message = v[:, None] * _entries(s, i, c, there, c < k, k, 1)
        _store(w, message, j, c, there, k, True)


@_jit
def _dense_kernel(
    adj, s, mask, y, w, squares, m, k,
    ROWS: tl.constexpr, K: tl.constexpr, TF32: tl.constexpr,
):  # fmt: skip
    """Y and W of a dense A, and parts of :math:`|A - S S^T|^2`."""
    graph, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    first, end, c = graph * m, (graph + 1) * m, tl.arange(0, K)
    row = first + block * ROWS + tl.arange(0, ROWS)
    real, own = _real(mask, row, end), _entries(s, row, c, row < end, c < k, k, 1)
    to, back = tl.zeros([ROWS, K], tl.float32), tl.zeros([ROWS, K], tl.float32)
    square = tl.zeros([ROWS], tl.float64)
    for start in range(first, end, ROWS):
        col = start + tl.arange(0, ROWS)
        is_column = _real(mask, col, end)
        other = _entries(s, col, c, col < end, c < k, k, 1)
        a = _entries(adj, row, col - first, real, is_column, m, 1)
        to += tl.dot(a, other, input_precision=TF32)
        rest = a - tl.dot(own, tl.trans(other), input_precision=TF32)
        rest = rest.to(tl.float64)
        square += tl.sum(rest * rest, 1)
        if w is not None:
            a = _entries(adj, row - first, col, real, is_column, 1, m)
            back += tl.dot(a, other, input_precision=TF32)
    _store(y, to, row, c, row < end, k)
    if w is not None:
        _store(w, back, row, c, row < end, k)
    tl.store(squares + graph * tl.num_programs(1) + block, tl.sum(square, 0))


@triton.jit
def _contract(
    out, s, right, mask, graph, first, end, i, j, k, width,
    ROWS: tl.constexpr, TF32: tl.constexpr,
):  # fmt: skip
    """Add :math:`S^T R` of some rows to entries of a graph's matrix."""
    total = tl.zeros([i.shape[0], j.shape[0]], tl.float32)
    for start in range(first, end, ROWS):
        row = start + tl.arange(0, ROWS)
        left = tl.trans(_entries(s, row, i, row < end, i < k, k, 1))
        real = _real(mask, row, end)
        factor = _entries(right, row, j, real, j < width, width, 1)
        total += tl.dot(left, factor, input_precision=TF32)
    if first < end:
        _store(out + graph * k * width, total, i, j, i < k, width, True)


@triton.jit
def is_last(done, programs):
    """Whether all other programs have added what they have, and this one comes last."""
    tl.debug_barrier()
    return tl.atomic_add(done, 1, sem="acq_rel") == programs - 1


@triton.jit
def _norm_terms(adj, gram, k, BLOCK: tl.constexpr):
    """The trace of a graph's A' and :math:`|G|^2`, of sums that others added to."""
    trace, square = tl.zeros([BLOCK], tl.float64), tl.zeros([BLOCK], tl.float64)
    for start in range(0, k * k, BLOCK):
        at = start + tl.arange(0, BLOCK)
        inside = at < k * k
        diagonal = inside & (at // k == at % k)
        a = tl.load(adj + at, mask=diagonal, other=0.0, cache_modifier=".cg")
        g = tl.load(gram + at, mask=inside, other=0.0, cache_modifier=".cg")
        trace += a.to(tl.float64)
        square += g.to(tl.float64) * g.to(tl.float64)
    return tl.sum(trace, 0), tl.sum(square, 0)


@_jit
def _contract_kernel(
    x, y, s, mask, ptr, out_x, out_adj, gram, done, terms, num_graphs, m, c, k,
    LENGTH: tl.constexpr, ROWS: tl.constexpr, K: tl.constexpr, C: tl.constexpr,
    TF32: tl.constexpr,
):  # fmt: skip
    """:math:`S^T [X | Y | S]`, added chunk by chunk, and what the norm wants of it.

    The programs of a chunk are neighbours: S comes from the cache but for the first.
    """
    of_x, of_y = tl.cdiv(c, C), tl.cdiv(k, C)
    columns, rows = of_x + 2 * of_y, tl.cdiv(k, K)
    chunk, block = (
        tl.program_id(0) // (rows * columns),
        tl.program_id(0) % (rows * columns),
    )
    graph, first, end = _chunk(chunk, ptr, num_graphs, m, LENGTH)
    column = block % columns
    i, j = block // columns * K + tl.arange(0, K), column * C + tl.arange(0, C)
    if column < of_x:
        _contract(out_x, s, x, mask, graph, first, end, i, j, k, c, ROWS, TF32)
    elif column < of_x + of_y:
        j -= of_x * C
        _contract(out_adj, s, y, None, graph, first, end, i, j, k, k, ROWS, TF32)
    else:
        j -= (of_x + of_y) * C
        _contract(gram, s, s, None, graph, first, end, i, j, k, k, ROWS, TF32)
    if terms is not None:
        before, after = _first_row(ptr, graph, m), _first_row(ptr, graph + 1, m)
        chunks = after // LENGTH - before // LENGTH + 1
        if is_last(done + graph, chunks * rows * columns):
            at = graph * k * k
            trace, square = _norm_terms(out_adj + at, gram + at, k, 1024)
            tl.store(terms + graph, trace)
            tl.store(terms + num_graphs + graph, square)


@triton.jit
def _times(
    total, left, row, real, width, right, graph, col, columns,
    TURNED: tl.constexpr, TF32: tl.constexpr,
):  # fmt: skip
    """Add rows of a matrix `[N, width]` times a graph's block, or its transpose."""
    if right is not None:
        right += graph * width * columns
        down, across = (1, width) if TURNED else (columns, 1)
        for first in range(0, width, _INNER):
            j = first + tl.arange(0, _INNER)
            a = _entries(left, row, j, real, j < width, width, 1)
            b = _entries(right, j, col, j < width, col < columns, down, across)
            total += tl.dot(a, b, input_precision=TF32)
    return total


@_jit
def _gradient_kernel(
    x, y, w, s, mask, ptr, gram, norm, divisors,
    d_x, d_adj, d_s, d_link, d_entropy, d_gram, out_x, out_t, out_s, out_rate,
    num_graphs, m, c, k,
    ROWS: tl.constexpr, K: tl.constexpr, C: tl.constexpr, TF32: tl.constexpr,
):  # fmt: skip
    """The gradients of x and of the logits, T and r, of some rows of a graph."""
    graph, first, end = _chunk(tl.program_id(0), ptr, num_graphs, m, ROWS)
    rate = tl.full([], 0.0, tl.float32)
    if d_link is not None:
        length = tl.load(norm)
        wide = tl.load(d_link).to(tl.float64) / (length * tl.load(divisors))
        rate = tl.where(length == 0, 0.0, wide).to(tl.float32)
    tl.store(out_rate, rate)
    i, row = tl.arange(0, K), first + tl.arange(0, ROWS)
    real, zeros = _real(mask, row, end), tl.zeros([ROWS, K], tl.float32)
    p = _entries(s, row, i, real, i < k, k, 1)
    if out_s is not None:
        grad = zeros
        if d_link is not None:
            grad = _times(grad, s, row, real, k, gram, graph, i, k, False, TF32)
            sums = _entries(y, row, i, real, i < k, k, 1)
            sums += _entries(w, row, i, real, i < k, k, 1)
            grad = rate * (2 * grad - sums)
        grad = _times(grad, s, row, real, k, d_gram, graph, i, k, False, TF32)
        grad = _times(grad, s, row, real, k, d_gram, graph, i, k, True, TF32)
        grad = _times(grad, y, row, real, k, d_adj, graph, i, k, True, TF32)
        grad = _times(grad, w, row, real, k, d_adj, graph, i, k, False, TF32)
        grad = _times(grad, x, row, real, c, d_x, graph, i, k, True, TF32)
        if d_s is not None:
            grad += _entries(d_s, row, i, real, i < k, k, 1)
        if d_entropy is not None:
            down = tl.load(d_entropy).to(tl.float64) / tl.load(divisors + 1)
            grad -= down.to(tl.float32) * tl.log(tl.where(p < _TINY, _TINY, p))
        grad = p * (grad - tl.sum(p * grad, 1)[:, None])
        _store(out_s, grad, row, i, row < end, k)
    if out_x is not None:
        for start in range(0, c, C):
            j, total = start + tl.arange(0, C), tl.zeros([ROWS, C], tl.float32)
            total = _times(total, s, row, real, k, d_x, graph, j, c, False, TF32)
            _store(out_x, total, row, j, row < end, c)
    if out_t is not None:
        t = _times(zeros, s, row, real, k, d_adj, graph, i, k, False, TF32)
        _store(out_t, t - rate * p, row, i, row < end, k)
