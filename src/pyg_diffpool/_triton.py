r"""The level on CUDA: its formulas in a handful of Triton kernels.

A small mini-batch waits for launches, of which there are few here, and a large one for
memory, so nothing of size `E x K` is written. Both forms share all kernels but the
one for :math:`Y = A S` and :math:`W = A^\top S`, by which the gradient needs no second
look at A:

.. math::
    dS = X D_X^\top + Y (D_A - r I)^\top + W (D_A - r I) + S (2 r G + D_G + D_G^\top)

Rows are taken by chunks of one graph. Sums over graphs and edges are atomic; under
`torch.use_deterministic_algorithms` one program takes a whole graph, and torch sums
over edges. All sums are in float32, those of the norm in float64.
"""

import math

import torch
import triton
import triton.language as tl

from pyg_diffpool._level import CANCELLATION, RESOLUTION

_TINY = tl.constexpr(torch.finfo(torch.float).tiny)
_LOG_TINY = tl.constexpr(math.log(torch.finfo(torch.float).tiny))
_CANCELLATION, _RESOLUTION = tl.constexpr(CANCELLATION), tl.constexpr(RESOLUTION)

# What changes from one mini-batch to the next, of which no variants are compiled.
_jit = triton.jit(
    do_not_specialize=[
        "n", "size", "size_x", "size_adj", "num_edges", "num_entropies", "num_graphs",
        "num_squares", "num_terms",
    ]
)  # fmt: skip


@triton.jit
def _chunk(ptr, num_graphs, m, LENGTH: tl.constexpr):
    """The graph of this program's chunk, its first row and the one after the last.

    Graph b has the chunks from `ptr[b] // LENGTH + b` on: enough for its rows, and
    `N // LENGTH + B` in all, whatever the sizes. Without `ptr` all have m rows.
    """
    t = tl.program_id(0).to(tl.int64)
    if ptr is None:
        chunks = (m + LENGTH - 1) // LENGTH
        graph = t // chunks
        start = graph * m + t % chunks * LENGTH
        end = (graph + 1) * m
    else:
        graph = t * 0
        after = graph + num_graphs
        while after - graph > 1:
            middle = (graph + after) // 2
            is_before = tl.load(ptr + middle) // LENGTH + middle <= t
            graph = tl.where(is_before, middle, graph)
            after = tl.where(is_before, after, middle)
        first = tl.load(ptr + graph)
        start = first + (t - first // LENGTH - graph) * LENGTH
        end = tl.load(ptr + graph + 1)
    return graph, start, tl.minimum(end, start + LENGTH)


@triton.jit
def _zero(out, size, BLOCK: tl.constexpr):
    """Zeros, a part of them by each program."""
    step = tl.num_programs(0).to(tl.int64) * BLOCK
    for start in range(tl.program_id(0).to(tl.int64) * BLOCK, size, step):
        at = start + tl.arange(0, BLOCK)
        tl.store(out + at, tl.zeros([BLOCK], tl.float32), mask=at < size)


@triton.jit
def _rows(source, mask, row, end, col, width):
    """Rows of a matrix `[N, width]`, float32, zeros where there is no node."""
    there = row < end
    if mask is not None:
        there &= tl.load(mask + row, mask=there, other=0) != 0
    at = row[:, None] * width + col[None, :]
    inside = there[:, None] & (col < width)[None, :]
    return tl.load(source + at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _block(source, graph, i, j, height, width, down, across):
    """Entries of a graph's matrix, `i` and `j` steps along it, float32."""
    at = graph * height * width + i[:, None] * down + j[None, :] * across
    inside = (i < height)[:, None] & (j < width)[None, :]
    return tl.load(source + at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _total(part, count, BLOCK: tl.constexpr):
    """The sum of every other of `2 * count` numbers."""
    total = tl.zeros([BLOCK], tl.float64)
    for start in range(0, count, BLOCK):
        at = start + tl.arange(0, BLOCK)
        total += tl.load(part + 2 * at, mask=at < count, other=0.0)
    return tl.sum(total, 0)


@_jit
def _softmax_kernel(
    logits, mask, s, y, w, out_x, out_adj, gram, value, part,
    n, k, num_edges, size_x, size_adj,
    ROWS: tl.constexpr, K: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """S, parts of :math:`|A|^2` and of the entropy, and zeros to add to."""
    program = tl.program_id(0)
    row, col = program.to(tl.int64) * ROWS + tl.arange(0, ROWS), tl.arange(0, K)
    real = row < n
    inside = real[:, None] & (col < k)[None, :]
    at = row[:, None] * k + col[None, :]
    z = tl.load(logits + at, mask=inside, other=float("-inf")).to(tl.float32)
    z = tl.where(real[:, None], z, 0.0)
    z -= tl.max(z, 1)[:, None]
    log_p = z - tl.log(tl.sum(tl.exp(z), 1))[:, None]
    p = tl.exp(log_p)
    if mask is not None:
        real &= tl.load(mask + row, mask=real, other=0) != 0
        p = tl.where(real[:, None], p, 0.0)
    tl.store(s + at, p.to(s.dtype.element_ty), mask=inside)
    if y is not None:
        tl.store(y + at, tl.zeros([ROWS, K], tl.float32), mask=inside)
    if w is not None:
        tl.store(w + at, tl.zeros([ROWS, K], tl.float32), mask=inside)
    # A clamp that keeps NaN.
    entropy = tl.sum(-p * tl.where(log_p < _LOG_TINY, _LOG_TINY, log_p), 1)
    entropy = tl.where(real, entropy, 0.0).to(tl.float64)
    square = tl.zeros([BLOCK], tl.float64)
    if value is not None:
        step = tl.num_programs(0).to(tl.int64) * BLOCK
        for start in range(program.to(tl.int64) * BLOCK, num_edges, step):
            edge = start + tl.arange(0, BLOCK)
            v = tl.load(value + edge, mask=edge < num_edges, other=0.0).to(tl.float64)
            square += v * v
    tl.store(part + 2 * program, tl.sum(square, 0))
    tl.store(part + 2 * program + 1, tl.sum(entropy, 0))
    _zero(out_x, size_x, BLOCK)
    _zero(out_adj, size_adj, BLOCK)
    _zero(gram, size_adj, BLOCK)


@_jit
def _edge_kernel(
    row, col, value, s, y, w, num_edges, k, EDGES: tl.constexpr, K: tl.constexpr
):
    """Y and W of a sparse A, by edges."""
    edge = tl.program_id(0).to(tl.int64) * EDGES + tl.arange(0, EDGES)
    there = edge < num_edges
    i = tl.load(row + edge, mask=there, other=0)
    j = tl.load(col + edge, mask=there, other=0)
    v = tl.full([EDGES], 1.0, tl.float32)
    if value is not None:
        v = tl.load(value + edge, mask=there, other=0.0).to(tl.float32)
        there &= v != 0
    c = tl.arange(0, K)
    inside = there[:, None] & (c < k)[None, :]
    from_row, from_col = i[:, None] * k + c[None, :], j[:, None] * k + c[None, :]
    message = tl.load(s + from_col, mask=inside, other=0.0).to(tl.float32)
    tl.atomic_add(y + from_row, v[:, None] * message, mask=inside, sem="relaxed")
    if w is not None:
        message = tl.load(s + from_row, mask=inside, other=0.0).to(tl.float32)
        tl.atomic_add(w + from_col, v[:, None] * message, mask=inside, sem="relaxed")


@_jit
def _dense_kernel(
    adj, s, mask, y, w, part, m, k,
    ROWS: tl.constexpr, K: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Y and W of a dense A, and parts of :math:`|A - S S^T|^2` in place of A's."""
    graph, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    end, c, r = (graph + 1) * m, tl.arange(0, K), tl.arange(0, ROWS)
    here = block.to(tl.int64) * ROWS + r
    own = _rows(s, None, graph * m + here, end, c, k)
    to, back = tl.zeros([ROWS, K], tl.float32), tl.zeros([ROWS, K], tl.float32)
    square = tl.zeros([ROWS], tl.float64)
    hidden = here >= m
    if mask is not None:
        hidden |= tl.load(mask + graph * m + here, mask=here < m, other=0) == 0
    for start in range(0, m, ROWS):
        there = (start + r).to(tl.int64)
        apart = there >= m
        if mask is not None:
            apart |= tl.load(mask + graph * m + there, mask=there < m, other=0) == 0
        apart = hidden[:, None] | apart[None, :]
        other = _rows(s, None, graph * m + there, end, c, k)
        a = tl.where(apart, 0.0, _block(adj, graph, here, there, m, m, m, 1))
        to += tl.dot(a, other, input_precision=PRECISION)
        rest = a - tl.dot(own, tl.trans(other), input_precision=PRECISION)
        square += tl.sum((rest * rest).to(tl.float64), 1)
        if w is not None:
            a = _block(adj, graph, here, there, m, m, 1, m)
            a = tl.where(apart, 0.0, a)
            back += tl.dot(a, other, input_precision=PRECISION)
    at = (graph * m + here)[:, None] * k + c[None, :]
    inside = (here < m)[:, None] & (c < k)[None, :]
    tl.store(y + at, to, mask=inside)
    if w is not None:
        tl.store(w + at, back, mask=inside)
    tl.store(part + 2 * (graph * tl.num_programs(1) + block), tl.sum(square, 0))


@_jit
def _contract_kernel(
    x, y, s, mask, ptr, out_x, out_adj, gram, num_graphs, m, c, k,
    LENGTH: tl.constexpr, ROWS: tl.constexpr, K: tl.constexpr, C: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """:math:`S^T [X | Y | S]`, added chunk by chunk."""
    graph, first, end = _chunk(ptr, num_graphs, m, LENGTH)
    i = tl.program_id(1) * K + tl.arange(0, K)
    block = tl.program_id(2)
    blocks_c, blocks_k = tl.cdiv(c, C), tl.cdiv(k, C)
    is_x, is_y = block < blocks_c, block < blocks_c + blocks_k
    width = tl.where(is_x, c, k)
    out = out_x if is_x else (out_adj if is_y else gram)
    block -= tl.where(is_x, 0, tl.where(is_y, blocks_c, blocks_c + blocks_k))
    j = block * C + tl.arange(0, C)
    total = tl.zeros([K, C], tl.float32)
    for start in range(first, end, ROWS):
        row = start + tl.arange(0, ROWS)
        left = tl.trans(_rows(s, None, row, end, i, k))
        if is_x:
            of_x = _rows(x, mask, row, end, j, c)
            total += tl.dot(left, of_x, input_precision=PRECISION)
        elif is_y:
            of_y = _rows(y, None, row, end, j, k)
            total += tl.dot(left, of_y, input_precision=PRECISION)
        else:
            of_s = _rows(s, None, row, end, j, k)
            total += tl.dot(left, of_s, input_precision=PRECISION)
    at = graph * k * width + i[:, None] * width + j[None, :]
    inside = (i < k)[:, None] & (j < width)[None, :]
    if first < end:
        tl.atomic_add(out + at, total, mask=inside, sem="relaxed")


@_jit
def _terms_kernel(adj, gram, part, k, size, BLOCK: tl.constexpr):
    """Parts of the trace of A' and of :math:`|G|^2`."""
    program = tl.program_id(0)
    at = program.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    on_diagonal = inside & (at // k % k == at % k)
    trace = tl.load(adj + at, mask=on_diagonal, other=0.0).to(tl.float64)
    g = tl.load(gram + at, mask=inside, other=0.0).to(tl.float64)
    tl.store(part + 2 * program, tl.sum(trace, 0))
    tl.store(part + 2 * program + 1, tl.sum(g * g, 0))


@_jit
def _exact_kernel(
    s, row, col, value, ptr, norm, part, num_graphs, num_edges, n, k, blocks,
    ROWS: tl.constexpr, K: tl.constexpr, EDGES: tl.constexpr,
):  # fmt: skip
    """The same in float64 where little was left, by blocks of G and then by edges."""
    program, of_gram = tl.program_id(0).to(tl.int64), num_graphs * blocks * blocks
    if tl.load(norm + 1) != 0:
        trace, square = tl.zeros([EDGES], tl.float64), tl.zeros([K], tl.float64)
        if program < of_gram:
            graph, block = program // (blocks * blocks), program % (blocks * blocks)
            i = block // blocks * K + tl.arange(0, K)
            j = block % blocks * K + tl.arange(0, K)
            end = tl.load(ptr + graph + 1)
            total = tl.zeros([K, K], tl.float64)
            for start in range(tl.load(ptr + graph), end, ROWS):
                r = start + tl.arange(0, ROWS)
                left = _rows(s, None, r, end, i, k).to(tl.float64)
                right = _rows(s, None, r, end, j, k).to(tl.float64)
                total += tl.sum(left[:, :, None] * right[:, None, :], 0)
            square = tl.sum(total * total, 0)
        else:
            edge = (program - of_gram) * EDGES + tl.arange(0, EDGES)
            there = edge < num_edges
            source = tl.load(row + edge, mask=there, other=n)
            target = tl.load(col + edge, mask=there, other=n)
            for first in range(0, k, K):
                c = first + tl.arange(0, K)
                one = _rows(s, None, source, n, c, k).to(tl.float64)
                other = _rows(s, None, target, n, c, k).to(tl.float64)
                trace += tl.sum(one * other, 1)
            if value is not None:
                v = tl.load(value + edge, mask=there, other=0.0).to(tl.float64)
                trace = tl.where(there, trace * v, 0.0)
        tl.store(part + 2 * program, tl.sum(trace, 0))
        tl.store(part + 2 * program + 1, tl.sum(square, 0))


@_jit
def _finish_kernel(
    squares, entropies, terms, divisors, link, entropy, norm,
    num_squares, num_entropies, num_terms, num_edges,
    EXACT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The norm, whether little was left of its terms, and both losses."""
    is_due = True
    if EXACT:
        is_due = tl.load(norm + 1) != 0
    if is_due:
        of_adj = _total(squares, num_squares, BLOCK) + num_edges
        square, few = of_adj, 0.0
        if terms is not None:
            of_gram = _total(terms + 1, num_terms, BLOCK)
            square = of_adj - 2 * _total(terms, num_terms, BLOCK) + of_gram
            if EXACT:
                few = _RESOLUTION * (of_adj + of_gram)
            else:
                near = square < _CANCELLATION * (of_adj + of_gram)
                tl.store(norm + 1, near.to(tl.float64))
        is_rounding = (square <= few) & (square < float("inf"))
        length = tl.sqrt(tl.where(is_rounding, 0.0, square))
        tl.store(norm, length)
        tl.store(link, (length / tl.load(divisors)).to(link.dtype.element_ty))
        if not EXACT:
            total = _total(entropies + 1, num_entropies, BLOCK) / tl.load(divisors + 1)
            tl.store(entropy, total.to(entropy.dtype.element_ty))


@_jit
def _gradient_kernel(
    x, y, w, s, mask, ptr, gram, norm, divisors,
    d_x, d_adj, d_s, d_link, d_entropy, d_gram, out_x, out_t, out_s, out_rate,
    num_graphs, m, c, k,
    LENGTH: tl.constexpr, ROWS: tl.constexpr, K: tl.constexpr, C: tl.constexpr,
    L: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The gradients of x and of the logits, T and r."""
    graph, start, end = _chunk(ptr, num_graphs, m, LENGTH)
    rate = tl.full([], 0.0, tl.float32)
    if d_link is not None:
        length = tl.load(norm)
        wide = tl.load(d_link).to(tl.float64) / (length * tl.load(divisors))
        rate = tl.where(length == 0, 0.0, wide).to(tl.float32)
    tl.store(out_rate, rate)
    i = tl.arange(0, K)
    for begin in range(start, end, ROWS):
        row = begin + tl.arange(0, ROWS)
        at = row[:, None] * k + i[None, :]
        inside = (row < end)[:, None] & (i < k)[None, :]
        if out_s is not None:
            grad = tl.zeros([ROWS, K], tl.float32)
            for part in tl.static_range(3):
                for first in range(0, k, L):
                    j = first + tl.arange(0, L)
                    if part == 2:
                        left = _rows(s, None, row, end, j, k)
                        right = 2 * rate * _block(gram, graph, j, i, k, k, k, 1)
                        if d_gram is not None:
                            right += _block(d_gram, graph, j, i, k, k, k, 1)
                            right += _block(d_gram, graph, j, i, k, k, 1, k)
                    else:
                        left = _rows(w if part else y, None, row, end, j, k)
                        right = -rate * (j[:, None] == i[None, :])
                        if d_adj is not None:
                            down, across = (k, 1) if part else (1, k)
                            right += _block(d_adj, graph, j, i, k, k, down, across)
                    grad += tl.dot(left, right, input_precision=PRECISION)
            if d_x is not None:
                for first in range(0, c, L):
                    j = first + tl.arange(0, L)
                    left = _rows(x, mask, row, end, j, c)
                    right = _block(d_x, graph, j, i, c, k, 1, c)
                    grad += tl.dot(left, right, input_precision=PRECISION)
            if d_s is not None:
                grad += _rows(d_s, None, row, end, i, k)
            p = tl.load(s + at, mask=inside, other=0.0).to(tl.float32)
            if d_entropy is not None:
                down = tl.load(d_entropy).to(tl.float64) / tl.load(divisors + 1)
                grad -= down.to(tl.float32) * tl.log(tl.where(p < _TINY, _TINY, p))
            grad = p * (grad - tl.sum(p * grad, 1)[:, None])
            tl.store(out_s + at, grad.to(out_s.dtype.element_ty), mask=inside)
        if out_x is not None:
            for first in range(0, c, C):
                j = first + tl.arange(0, C)
                total = tl.zeros([ROWS, C], tl.float32)
                if d_x is not None:
                    for inner in range(0, k, L):
                        i_x = inner + tl.arange(0, L)
                        left = _rows(s, None, row, end, i_x, k)
                        right = _block(d_x, graph, i_x, j, k, c, c, 1)
                        total += tl.dot(left, right, input_precision=PRECISION)
                at_x = row[:, None] * c + j[None, :]
                inside_x = (row < end)[:, None] & (j < c)[None, :]
                tl.store(out_x + at_x, total.to(out_x.dtype.element_ty), mask=inside_x)
        if out_t is not None:
            t = tl.zeros([ROWS, K], tl.float32)
            for first in range(0, k, L):
                j = first + tl.arange(0, L)
                left = _rows(s, None, row, end, j, k)
                right = -rate * (j[:, None] == i[None, :])
                if d_adj is not None:
                    right += _block(d_adj, graph, j, i, k, k, k, 1)
                t += tl.dot(left, right, input_precision=PRECISION)
            tl.store(out_t + at, t, mask=inside)
