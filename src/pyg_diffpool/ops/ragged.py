r"""Products of ragged blocks: the rows of one graph times those of the same graph.

Two products are all that pooling needs, and each is the other's gradient:

.. math::
    \mathrm{contract}(L, R)_b = L_b^{\top} R_b, \qquad
    \mathrm{expand}(L, Y)_b = L_b Y_b

where :math:`L_b` are the rows ``ptr[b]:ptr[b + 1]`` of a matrix that holds the nodes
of the whole mini-batch. There is no padding to the largest graph and no Python loop
over graphs. Three ways lead to the result: one matrix product for a single graph,
`torch.nn.functional.grouped_mm` where it exists and is fast, and tiles otherwise.
"""

from typing import Any

import torch
from torch import Tensor

from pyg_diffpool.ops.gradients import without_autocast

TILE = 32
_HAS_GROUPED_MM = hasattr(torch.nn.functional, "grouped_mm")


def alignment(dtype: torch.dtype) -> int:
    """How many elements make the 16 bytes to which `grouped_mm` wants rows aligned."""
    return 16 // dtype.itemsize


def align(width: int, dtype: torch.dtype) -> int:
    """`width` rounded up to the next multiple of `alignment(dtype)`."""
    step = alignment(dtype)
    return -(-width // step) * step


def contract(
    left: Tensor,  # [N, P]
    right: Tensor,  # [N, Q]
    ptr: Tensor,  # [B + 1]
) -> Tensor:
    """`left_b^T right_b` of every graph, `[B, P, Q]`; zeros for a graph of no nodes."""
    out: Tensor = _Contract.apply(left, right, ptr)
    return out


def expand(
    left: Tensor,  # [N, P]
    blocks: Tensor,  # [B, P, Q]
    ptr: Tensor,  # [B + 1]
) -> Tensor:
    """`left_b blocks_b` of every graph, row by row, `[N, Q]`."""
    out: Tensor = _Expand.apply(left, blocks, ptr)
    return out


class _Contract(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, ptr: Tensor) -> Tensor:
        ctx.save_for_backward(left, right, ptr)
        return contract_kernel(left, right, ptr)

    @staticmethod
    @without_autocast
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        left, right, ptr = ctx.saved_tensors
        need_left, need_right = ctx.needs_input_grad[:2]
        return (
            expand(right, grad.transpose(1, 2), ptr) if need_left else None,
            expand(left, grad, ptr) if need_right else None,
            None,
        )


class _Expand(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, blocks: Tensor, ptr: Tensor) -> Tensor:
        ctx.save_for_backward(left, blocks, ptr)
        return expand_kernel(left, blocks, ptr)

    @staticmethod
    @without_autocast
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        left, blocks, ptr = ctx.saved_tensors
        need_left, need_blocks = ctx.needs_input_grad[:2]
        return (
            expand(grad, blocks.transpose(1, 2), ptr) if need_left else None,
            contract(left, grad, ptr) if need_blocks else None,
            None,
        )


def contract_kernel(left: Tensor, right: Tensor, ptr: Tensor) -> Tensor:
    """`contract` without its gradient."""
    if ptr.numel() == 2:
        return (left.t() @ right).unsqueeze(0)
    if _grouped(left, right):
        offsets = ptr[1:].to(torch.int32)
        return torch.nn.functional.grouped_mm(left.t(), right, offs=offsets)
    tiles, slot = _tiles(ptr, left.size(0))
    left_tiles = _to_tiles(left, slot, tiles.numel())
    right_tiles = _to_tiles(right, slot, tiles.numel())
    parts = left_tiles.transpose(1, 2) @ right_tiles
    out = parts.new_zeros(ptr.numel(), *parts.shape[1:])
    return out.index_add_(0, tiles, parts)[:-1]


def expand_kernel(left: Tensor, blocks: Tensor, ptr: Tensor) -> Tensor:
    """`expand` without its gradient."""
    if ptr.numel() == 2:
        return left @ blocks[0]
    if not _aligned(blocks):
        blocks = blocks.contiguous()
    if _grouped(left, blocks):
        offsets = ptr[1:].to(torch.int32)
        return torch.nn.functional.grouped_mm(left, blocks, offs=offsets)
    tiles, slot = _tiles(ptr, left.size(0))
    graph = tiles.clamp(max=ptr.numel() - 2)
    parts = _to_tiles(left, slot, tiles.numel()) @ blocks.index_select(0, graph)
    return parts.flatten(0, 1).index_select(0, slot)


def _grouped(left: Tensor, right: Tensor) -> bool:
    """Whether `grouped_mm` takes these operands and is the fastest way.

    Its kernels: any graph sizes, 16-bit and 32-bit floats, rows (and columns of a
    transposed operand) that start on multiples of 16 bytes. On CUDA all but bf16 on
    compute capability 9.0 and above is a loop with synchronisation, so tiles do better.
    """
    if not _HAS_GROUPED_MM or left.size(0) == 0:
        return False
    if left.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return False
    if left.is_cuda and (
        left.dtype != torch.bfloat16 or torch.cuda.get_device_capability() < (9, 0)
    ):
        return False
    return _aligned(left) and _aligned(right)


def _aligned(matrix: Tensor) -> bool:
    step = alignment(matrix.dtype)
    strides = sorted(matrix.stride()[-2:])
    return bool(
        strides[0] == 1
        and strides[1] % step == 0
        and matrix.storage_offset() % step == 0
        and min(matrix.shape[-2:]) > 0
    )


def _tiles(ptr: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """The graph of every tile, `[T]`, and the row of every node among all tiles, `[N]`.

    A tile holds `TILE` nodes of one graph. `T = N // TILE + B` is enough for any sizes,
    so that no size has to be read back from the device; tiles past the last one that is
    needed belong to graph B.
    """
    num_graphs = ptr.numel() - 1
    per_graph = (ptr[1:] - ptr[:-1] + TILE - 1) // TILE
    last = per_graph.cumsum(0)
    tile = torch.arange(num_nodes // TILE + num_graphs, device=ptr.device)
    graph_of_tile = torch.searchsorted(last, tile, right=True)
    node = torch.arange(num_nodes, device=ptr.device)
    graph_of_node = torch.searchsorted(ptr, node, right=True) - 1
    first = (last - per_graph) * TILE - ptr[:-1]
    return graph_of_tile, node + first[graph_of_node]


def _to_tiles(rows: Tensor, slot: Tensor, num_tiles: int) -> Tensor:
    out = rows.new_zeros(num_tiles * TILE, rows.size(1))
    return out.index_copy_(0, slot, rows).view(num_tiles, TILE, rows.size(1))
