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
    """The blocks of a mini-batch, whose tiles are found once.

    Rows are `[N, P]`, or as `spread` gives them, of which columns may be taken.
    """

    def __init__(
        self,
        ptr: Tensor,  # [B + 1]
        num_nodes: int,
        graph: Tensor | None = None,  # [T], by `find_tiles`, as is
        slot: Tensor | None = None,  # [N]
    ) -> None:
        self.ptr, self.num_nodes, self._tiles = ptr, num_nodes, (graph, slot)

    def contract(self, left: Tensor, right: Tensor) -> Tensor:
        """`left_b^T right_b` of every graph, `[B, P, Q]`; zeros for one of no nodes."""
        if left.dim() == 2 and takes_kernels(left, right):
            if self.ptr.numel() == 2:
                return (left.t() @ right).unsqueeze(0)
            if _is_grouped_mm_fast(left) and _is_aligned(left) and _is_aligned(right):
                offs = self.ptr[1:].int()
                return torch.nn.functional.grouped_mm(left.t(), right, offs=offs)
        tiled = self._to_tiles(right)
        products = (tiled if left is right else self._to_tiles(left)).mT @ tiled
        out = products.new_zeros(self.ptr.numel() - 1, *products.shape[1:])
        return out.index_add_(0, self._find_tiles()[0], products)

    def expand(
        self,
        left: Tensor,
        blocks: Tensor,  # [B, P, Q]
    ) -> Tensor:
        """`left_b blocks_b` of every graph, `[N, Q]`, or spread where `left` is."""
        if left.dim() == 3:
            return left @ blocks.index_select(0, self._find_tiles()[0])
        if takes_kernels(left, blocks):
            if self.ptr.numel() == 2:
                return left @ blocks[0]
            if not _is_aligned(blocks):
                blocks = blocks.contiguous()
            if _is_grouped_mm_fast(left) and _is_aligned(left) and _is_aligned(blocks):
                offs = self.ptr[1:].int()
                return torch.nn.functional.grouped_mm(left, blocks, offs=offs)
        return self.collect(self.expand(self._to_tiles(left), blocks))

    def spread(self, rows: Tensor) -> Tensor:
        """Rows `[N, P]` in the form in which most products are taken of them."""
        if takes_kernels(rows) and takes_rows(rows, self.ptr):
            return rows
        return self._to_tiles(rows)

    def collect(self, rows: Tensor) -> Tensor:
        """`spread` backwards, `[N, P]`, contiguous."""
        if rows.dim() == 2:
            return rows.contiguous()
        return rows.flatten(0, 1).index_select(0, self._find_tiles()[1])

    def _find_tiles(self) -> tuple[Tensor, Tensor]:
        graph, slot = self._tiles
        if graph is None or slot is None:
            graph, slot = self._tiles = find_tiles(self.ptr, self.num_nodes)
        return graph, slot

    def _to_tiles(self, rows: Tensor) -> Tensor:
        if rows.dim() == 3:
            return rows
        graph, slot = self._find_tiles()
        out = rows.new_zeros(graph.numel() * TILE, rows.size(1))
        return out.index_put_((slot,), rows).view(-1, TILE, rows.size(1))


def find_tiles(
    ptr: Tensor,  # [B + 1]
    num_nodes: int,
) -> tuple[Tensor, Tensor]:
    """The graph of every tile, `[T]`, and the row of every node among all, `[N]`.

    A tile holds `TILE` nodes of one graph. Those of graph b begin with the tile
    `ptr[b] // TILE + b`, enough for its nodes whatever the sizes, so that none has
    to be read back from the device: `T = N // TILE + B`, some of them empty.
    """
    b = ptr.numel() - 1
    index = torch.arange(num_nodes + b + 1, device=ptr.device)
    first = ptr // TILE + index[: b + 1]
    tile, node = index[: num_nodes // TILE + b], index[:num_nodes]
    graph = torch.searchsorted(first[1:], tile, right=True)
    behind = torch.sub(ptr, first, alpha=TILE)  # nodes before the rows of their tiles
    return graph, node - behind[torch.searchsorted(ptr[1:], node, right=True)]


def takes_rows(like: Tensor, ptr: Tensor) -> bool:
    """Whether kernels take rows as they are, so that no tiles are wanted."""
    # To a compiler the number of graphs may be unknown.
    is_single = not torch.compiler.is_compiling() and ptr.numel() == 2
    return is_single or _is_grouped_mm_fast(like)


def _is_grouped_mm_fast(like: Tensor) -> bool:
    """Whether `grouped_mm` takes such rows and is the fastest way.

    On CUDA all but bfloat16 on compute capability 9.0 and above is a loop with
    synchronisation, so tiles do better.
    """
    dtypes = torch.float32, torch.float16, torch.bfloat16
    if not HAS_GROUPED_MM or like.size(0) == 0 or like.dtype not in dtypes:
        return False
    if not like.is_cuda:
        return True
    is_new = torch.cuda.get_device_capability() >= (9, 0)
    return is_new and like.dtype == torch.bfloat16


def _is_aligned(matrix: Tensor) -> bool:
    step = 16 // matrix.dtype.itemsize
    strides = sorted(matrix.stride()[-2:])
    return bool(
        strides[0] == 1
        and strides[1] % step == 0
        and matrix.storage_offset() % step == 0
        and min(matrix.shape[-2:]) > 0
    )
