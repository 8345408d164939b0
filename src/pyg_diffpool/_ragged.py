r"""Products of ragged blocks: the rows of one graph times those of the same graph.

.. math::
    \mathrm{contract}(L, R)_b = L_b^{\top} R_b, \qquad
    \mathrm{expand}(L, Y)_b = L_b Y_b

where :math:`L_b` are the rows ``ptr[b]:ptr[b + 1]`` of a matrix over the nodes of the
whole mini-batch. There is no padding to the largest graph and no loop over graphs.

Where a gradient is wanted, and for compilers and transforms, the way is tiles, made of
torch's own operations; else the fastest.
"""

import torch
from torch import Tensor

from pyg_diffpool._modes import takes_kernels

TILE = 32
HAS_GROUPED_MM = hasattr(torch.nn.functional, "grouped_mm")


def align(width: int, dtype: torch.dtype) -> int:
    """`width` up to the next multiple of the 16 bytes that `grouped_mm` wants."""
    step = 16 // dtype.itemsize
    return -(-width // step) * step


def contract(
    left: Tensor,  # [N, P]
    right: Tensor,  # [N, Q]
    ptr: Tensor,  # [B + 1]
) -> Tensor:
    """`left_b^T right_b` of every graph, `[B, P, Q]`; zeros for a graph of no nodes."""
    if takes_kernels(left, right):
        if ptr.numel() == 2:
            return (left.t() @ right).unsqueeze(0)
        if _is_grouped_mm_fast(left, right):
            return torch.nn.functional.grouped_mm(left.t(), right, offs=ptr[1:].int())
    return contract_tiles(left, right, ptr)


def expand(
    left: Tensor,  # [N, P]
    blocks: Tensor,  # [B, P, Q]
    ptr: Tensor,  # [B + 1]
) -> Tensor:
    """`left_b blocks_b` of every graph, row by row, `[N, Q]`."""
    if takes_kernels(left, blocks):
        if ptr.numel() == 2:
            return left @ blocks[0]
        if not _is_aligned(blocks):
            blocks = blocks.contiguous()
        if _is_grouped_mm_fast(left, blocks):
            return torch.nn.functional.grouped_mm(left, blocks, offs=ptr[1:].int())
    return expand_tiles(left, blocks, ptr)


def contract_tiles(left: Tensor, right: Tensor, ptr: Tensor) -> Tensor:
    """`contract` by tiles."""
    tiles, slot = _tiles(ptr, left.size(0))
    lefts, rights = (_to_tiles(rows, slot, tiles.numel()) for rows in (left, right))
    products = lefts.mT @ rights
    out = products.new_zeros(ptr.numel(), *products.shape[1:])
    return out.index_add(0, tiles, products)[:-1]


def expand_tiles(left: Tensor, blocks: Tensor, ptr: Tensor) -> Tensor:
    """`expand` by tiles."""
    tiles, slot = _tiles(ptr, left.size(0))
    graph = tiles.clamp(max=ptr.numel() - 2)
    parts = _to_tiles(left, slot, tiles.numel()) @ blocks.index_select(0, graph)
    return parts.flatten(0, 1).index_select(0, slot)


def _tiles(ptr: Tensor, num_nodes: int) -> tuple[Tensor, Tensor]:
    """The graph of every tile, `[T]`, and the row of every node among all tiles, `[N]`.

    A tile holds `TILE` nodes of one graph. `T = N // TILE + B` is enough for any sizes,
    so that no size has to be read back from the device; tiles past the last one that is
    needed belong to graph B.
    """
    num_graphs = ptr.numel() - 1
    per_graph = (ptr.diff() + TILE - 1) // TILE
    last = per_graph.cumsum(0)
    tile = torch.arange(num_nodes // TILE + num_graphs, device=ptr.device)
    graph_of_tile = torch.searchsorted(last, tile, right=True)
    node = torch.arange(num_nodes, device=ptr.device)
    graph_of_node = torch.searchsorted(ptr, node, right=True) - 1
    first = (last - per_graph) * TILE - ptr[:-1]
    return graph_of_tile, node + first[graph_of_node]


def _to_tiles(rows: Tensor, slot: Tensor, num_tiles: int) -> Tensor:
    out = rows.new_zeros(num_tiles * TILE, rows.size(1))
    return out.index_copy(0, slot, rows).view(num_tiles, TILE, rows.size(1))


def _is_grouped_mm_fast(left: Tensor, right: Tensor) -> bool:
    """Whether `grouped_mm` takes these operands and is the fastest way.

    On CUDA all but bfloat16 on compute capability 9.0 and above is a loop with
    synchronisation, so tiles do better.
    """
    dtypes = torch.float32, torch.float16, torch.bfloat16
    if not HAS_GROUPED_MM or left.size(0) == 0 or left.dtype not in dtypes:
        return False
    if left.is_cuda:
        is_new = torch.cuda.get_device_capability() >= (9, 0)
        if left.dtype != torch.bfloat16 or not is_new:
            return False
    return _is_aligned(left) and _is_aligned(right)


def _is_aligned(matrix: Tensor) -> bool:
    step = 16 // matrix.dtype.itemsize
    strides = sorted(matrix.stride()[-2:])
    return bool(
        strides[0] == 1
        and strides[1] % step == 0
        and matrix.storage_offset() % step == 0
        and min(matrix.shape[-2:]) > 0
    )
