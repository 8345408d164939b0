"""Edges sorted on CUDA, repeated ones counted, without a look by the host."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from pyg_diffpool._triton_launch import cdiv, launcher


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
    tl.store(key + at, (row * n + col).to(key.dtype.element_ty), mask=there)


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


@triton.jit(do_not_specialize=["n", "num_graphs"])
def _groups_kernel(batch, ptr, sizes, counts, n, num_graphs, BLOCK: tl.constexpr):
    """Where graphs start, their nodes, and all pairs within them and all nodes."""
    pairs = tl.zeros([BLOCK], tl.float64)
    for start in range(0, num_graphs, BLOCK):
        graph = start + tl.arange(0, BLOCK).to(tl.int64)
        there = graph < num_graphs
        first, after = _search(batch, n, graph), _search(batch, n, graph + 1)
        size = tl.where(there, after - first, 0)
        tl.store(ptr + graph, first, mask=there)
        tl.store(sizes + graph, size, mask=there)
        pairs += size.to(tl.float64) * size.to(tl.float64)
    tl.store(ptr + num_graphs, n)
    tl.store(counts, tl.sum(pairs, 0))
    tl.store(counts + 1, n.to(tl.float64))


@triton.jit(do_not_specialize=["num_edges", "n"])
def _runs_kernel(key, row, col, crow, first, count, num_edges, n, BLOCK: tl.constexpr):
    """What sorted keys say of edges, of runs of the same one, and of nodes."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = at < num_edges
    own = tl.load(key + at, mask=there, other=-1).to(tl.int64)
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


def group_nodes(batch: Tensor, num_graphs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where each graph starts, its nodes, and pairs and nodes of all."""
    ptr, sizes = batch.new_empty(num_graphs + 1), batch.new_empty(num_graphs)
    counts, n = batch.new_empty(2, dtype=torch.double), batch.numel()
    launch = launcher(("groups", batch.device), (batch,), (n, num_graphs))
    with torch.cuda.device_of(batch):
        given = batch.contiguous(), ptr, sizes, counts, n, num_graphs
        launch(_groups_kernel, (1,), *given, BLOCK=128)
    return ptr, sizes, counts


def sort_edges(
    edge_index: Tensor,  # [2, E]
    num_nodes: int,
    dtype: torch.dtype,
    batch: Tensor | None = None,  # [N]
    num_graphs: int = 1,
) -> tuple[Tensor, ...]:
    """Row, column, row pointer, order, the first edge of the same pair, its count."""
    e, n = edge_index.size(1), num_nodes
    fits = n * n < 2**31  # in keys that take half as long to sort
    kind = "sort", edge_index.device, dtype, fits
    launch = launcher(kind, (edge_index, batch), (e, n, num_graphs))
    key = edge_index.new_empty(e, dtype=torch.int if fits else torch.long)
    with torch.cuda.device_of(edge_index):
        nodes = None if batch is None else batch.contiguous()
        given = edge_index.contiguous(), nodes, key, e, n, num_graphs
        launch(_key_kernel, (cdiv(max(e, n), 1024),), *given, BLOCK=1024)
        key, order = torch.sort(key, stable=True)
        row, col, first = (torch.empty_like(order) for _ in range(3))
        count, crow = torch.empty_like(order, dtype=dtype), order.new_empty(n + 1)
        made = key, row, col, crow, first, count, e, n
        launch(_runs_kernel, (cdiv(max(e, n + 1), 256),), *made, BLOCK=256)
    return row, col, crow, order, first, count
