"""Edges sorted on CUDA, repeated ones counted, without a look by the host."""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit(debug=True, do_not_specialize=["num_edges", "n", "num_graphs"])
def _key_kernel(edge_index, batch, key, num_edges, n, num_graphs, BLOCK: tl.constexpr):
    """By what edges are sorted; those that cannot be stop the device."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = at < num_edges
    row = tl.load(edge_index + at, mask=there, other=0)
    col = tl.load(edge_index + num_edges + at, mask=there, other=0)
    inside = (row >= 0) & (row < n) & (col >= 0) & (col < n)
    tl.device_assert(inside, "Expected 'edge_index' from 0 and below the nodes")
    if batch is not None:
        own = tl.load(batch + row, mask=there & inside, other=0)
        other = tl.load(batch + col, mask=there & inside, other=0)
        tl.device_assert(own == other, "Expected edges within graphs")
        here = tl.load(batch + at, mask=at < n, other=0)
        after = tl.load(batch + at + 1, mask=at + 1 < n, other=num_graphs)
        tl.device_assert(
            (here >= 0) & (here < num_graphs) & (here <= after),
            "Expected 'batch' to ascend from 0 and below 'batch_size'",
        )
    tl.store(key + at, row * n + col, mask=there)


@triton.jit
def _search(key, size, wanted):
    """How many of the sorted keys are less than each of those wanted."""
    low, high = wanted * 0, wanted * 0 + size
    while tl.max(high - low, 0) > 0:
        middle = (low + high) // 2
        is_open = low < high
        is_less = tl.load(key + middle, mask=is_open, other=0) < wanted
        low = tl.where(is_open & is_less, middle + 1, low)
        high = tl.where(is_open & (is_less == 0), middle, high)
    return low


@triton.jit(do_not_specialize=["num_edges", "n"])
def _runs_kernel(key, row, col, crow, first, count, num_edges, n, BLOCK: tl.constexpr):
    """What sorted keys say of edges, of runs of the same one, and of nodes."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = at < num_edges
    own = tl.load(key + at, mask=there, other=-1)
    tl.store(row + at, own // n, mask=there)
    tl.store(col + at, own % n, mask=there)
    is_first = own != tl.load(key + at - 1, mask=there & (at > 0), other=-1)
    is_last = own != tl.load(key + at + 1, mask=at + 1 < num_edges, other=-1)
    begin, number = at, tl.where(is_first, 1, 0).to(tl.int64)
    if tl.max((there & ((is_first & is_last) == 0)).to(tl.int32), 0) > 0:
        begin = _search(key, num_edges, own)
        number *= _search(key, num_edges, own + 1) - at
    tl.store(first + at, begin, mask=there)
    tl.store(count + at, number.to(count.dtype.element_ty), mask=there)
    tl.store(crow + at, _search(key, num_edges, at * n), mask=at <= n)


def sort_edges(
    edge_index: Tensor,  # [2, E]
    num_nodes: int,
    dtype: torch.dtype,
    batch: Tensor | None = None,  # [N]
    num_graphs: int = 1,
) -> tuple[Tensor, ...]:
    """Row, column, row pointer, order, the first edge of the same pair, its count."""
    e, n = edge_index.size(1), num_nodes
    key = edge_index.new_empty(e)
    with torch.cuda.device_of(edge_index):
        nodes = None if batch is None else batch.contiguous()
        given = edge_index.contiguous(), nodes, key, e, n, num_graphs
        grid = (triton.cdiv(max(e, n), 1024),)
        _key_kernel[grid](*given, BLOCK=1024)
        key, order = torch.sort(key, stable=True)
        row, col, first = (torch.empty_like(key) for _ in range(3))
        count, crow = torch.empty_like(key, dtype=dtype), key.new_empty(n + 1)
        _runs_kernel[(triton.cdiv(max(e, n + 1), 256),)](
            key, row, col, crow, first, count, e, n, BLOCK=256
        )
    return row, col, crow, order, first, count
