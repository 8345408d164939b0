"""Edges sorted on CUDA, repeated ones counted, without a look by the host."""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit(debug=True, do_not_specialize=["num_edges", "n"])
def _key_kernel(edge_index, key, num_edges, n, BLOCK: tl.constexpr):
    """By what edges are sorted; one out of range stops the device."""
    edge = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = edge < num_edges
    row = tl.load(edge_index + edge, mask=there, other=0)
    col = tl.load(edge_index + num_edges + edge, mask=there, other=0)
    right = (row >= 0) & (row < n) & (col >= 0) & (col < n)
    tl.device_assert(right, "an entry of 'edge_index' is no node")
    tl.store(key + edge, row * n + col, mask=there)


@triton.jit
def _search(key, size, wanted, IS_AFTER: tl.constexpr):
    """How many keys are less than those wanted, or not more."""
    low, high = wanted * 0, wanted * 0 + size
    while tl.max(high - low, 0) > 0:
        middle = (low + high) // 2
        found = tl.load(key + middle, mask=middle < size, other=0)
        is_before = (found <= wanted) if IS_AFTER else (found < wanted)
        is_open = low < high
        low = tl.where(is_open & is_before, middle + 1, low)
        high = tl.where(is_open & (is_before == 0), middle, high)
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
    begin, number = at, tl.where(is_first, 1, 0).to(tl.int64)
    repeated = own == tl.load(key + at + 1, mask=at + 1 < num_edges, other=-2)
    if tl.max((there & (repeated | (is_first == 0))).to(tl.int32), 0) > 0:
        begin = _search(key, num_edges, own, False)
        number = tl.where(is_first, _search(key, num_edges, own, True) - at, 0)
    tl.store(first + at, begin, mask=there)
    tl.store(count + at, number.to(count.dtype.element_ty), mask=there)
    tl.store(crow + at, _search(key, num_edges, at * n, False), mask=at <= n)


def sort_edges(
    edge_index: Tensor,  # [2, E]
    num_nodes: int,
    dtype: torch.dtype,
) -> tuple[Tensor, ...]:
    """Row, column, row pointer, order, the first edge of the same pair, its count."""
    e, n = edge_index.size(1), num_nodes
    key = edge_index.new_empty(e)
    with torch.cuda.device_of(edge_index):
        if e > 0:
            _key_kernel[(triton.cdiv(e, 1024),)](
                edge_index.contiguous(), key, e, n, BLOCK=1024
            )
        key, order = torch.sort(key, stable=True)
        row, col, first = (torch.empty_like(key) for _ in range(3))
        count, crow = torch.empty_like(key, dtype=dtype), key.new_empty(n + 1)
        _runs_kernel[(triton.cdiv(max(e, n + 1), 256),)](
            key, row, col, crow, first, count, e, n, BLOCK=256
        )
    return row, col, crow, order, first, count
