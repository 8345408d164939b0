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


class Ragged:
    """The blocks of a mini-batch, whose tiles are found once."""

    def __init__(
        self,
        ptr: Tensor,  # [B + 1]
    ) -> None:
        self.ptr = ptr
        self._tiles: tuple[Tensor, Tensor] | None = None

    def contract(
        self,
        left: Tensor,  # [N, P]
        right: Tensor,  # [N, Q]
    ) -> Tensor:
        """`left_b^T right_b` of every graph, `[B, P, Q]`; zeros for one of no nodes."""
        if takes_kernels(left, right):
            if self.ptr.numel() == 2:
                return (left.t() @ right).unsqueeze(0)
            if _is_grouped_mm_fast(left, right):
                offs = self.ptr[1:].int()
                return torch.nn.functional.grouped_mm(left.t(), right, offs=offs)
        graph, _ = self.tiles(left.size(0))
        tiled = self._to_tiles(right)
        products = (tiled if left is right else self._to_tiles(left)).mT @ tiled
        out = products.new_zeros(self.ptr.numel() - 1, *products.shape[1:])
        return out.index_add(0, graph, products)

    def expand(
        self,
        left: Tensor,  # [N, P]
        blocks: Tensor,  # [B, P, Q]
    ) -> Tensor:
        """`left_b blocks_b` of every graph, row by row, `[N, Q]`."""
        if takes_kernels(left, blocks):
            if self.ptr.numel() == 2:
                return left @ blocks[0]
            if not _is_aligned(blocks):
                blocks = blocks.contiguous()
            if _is_grouped_mm_fast(left, blocks):
                offs = self.ptr[1:].int()
                return torch.nn.functional.grouped_mm(left, blocks, offs=offs)
        graph, slot = self.tiles(left.size(0))
        parts = self._to_tiles(left) @ blocks.index_select(0, graph)
        return parts.flatten(0, 1).index_select(0, slot)

    def tiles(self, num_nodes: int) -> tuple[Tensor, Tensor]:
        """The graph of every tile, `[T]`, and the row of every node among all, `[N]`.

        A tile holds `TILE` nodes of one graph. Those of graph b begin with the tile
        `ptr[b] // TILE + b`, enough for its nodes whatever the sizes, so that none has
        to be read back from the device: `T = N // TILE + B`, some of them empty.
        """
        if self._tiles is None:
            b, ends = self.ptr.numel() - 1, self.ptr[1:]
            index = torch.arange(num_nodes + b + 1, device=ends.device)
            first = self.ptr // TILE + index[: b + 1]
            tile, node = index[: num_nodes // TILE + b], index[:num_nodes]
            graph = torch.searchsorted(first[1:], tile, right=True)
            shift = first[:-1] * TILE - self.ptr[:-1]
            slot = node + shift[torch.searchsorted(ends, node, right=True)]
            self._tiles = graph, slot
        return self._tiles

    def _to_tiles(self, rows: Tensor) -> Tensor:
        graph, slot = self.tiles(rows.size(0))
        out = rows.new_zeros(graph.numel() * TILE, rows.size(1))
        return out.index_copy(0, slot, rows).view(-1, TILE, rows.size(1))


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
