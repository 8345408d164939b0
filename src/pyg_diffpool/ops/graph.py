r"""The sparse adjacency of a mini-batch.

One `SparseGraph` is made per mini-batch from the edges as they come and serves every
product: rows sorted, repeated edges summed, compressed rows (CSR) for the kernel.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch_geometric.index import index2ptr

from pyg_diffpool.ops import device
from pyg_diffpool.ops.ascent import stays_between
from pyg_diffpool.ops.lazy import lazy

warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)

_FEW = 2**15  # nodes


@dataclass(frozen=True)
class SparseGraph:
    r"""A mini-batch of graphs, :math:`A` of shape `[N, N]`, block-diagonal.

    `weight[e]` is :math:`A_{ij}` for the edge from node `i = row[e]` to node
    `j = col[e]`; `None` stands for ones. Rows ascend, and the columns of each row, if
    not told otherwise. A pair occurs once, or its further occurrences carry the
    weight 0. Edge e is the `order[e]`-th of those that came; `None` is the same order.
    """

    row: Tensor  # [E], the sources
    col: Tensor  # [E], the targets
    weight: Tensor | None  # [E]
    ptr: Tensor  # [B + 1], graph b holds the nodes ptr[b]:ptr[b + 1]
    num_nodes: int
    by_target: Callable[[], Tensor] | None = None  # gives `transpose_order` if known
    columns_ascend: bool = True
    order: Tensor | None = None  # [E]

    @lazy
    def crow(self) -> Tensor:
        """Where each row starts, `[N + 1]`."""
        crow: Tensor = index2ptr(self.row, self.num_nodes)
        return crow

    def stays_within(self, batch: Tensor) -> bool:
        """Whether every edge ends in the graph it starts in, read from the device.

        Sources must be in range, targets need not be. Where targets ascend within a
        row, its first and last tell.
        """
        if not self.columns_ascend:
            return torch.equal(batch[self.row], batch[self.col])
        return stays_between(self.col, self.crow, self.ptr, batch)

    @lazy
    def compressed(self) -> tuple[Tensor, Tensor]:
        """`crow` and `col` as the kernels want them.

        On a CPU that is int32 where it suffices: their products took 0.7 to 0.9 of the
        time of those by int64 (one thread, K = 16 to 64).
        """
        crow, col = self.crow, self.col
        if device.is_readable(col) and max(self.num_nodes, col.numel()) < 2**31:
            return crow.int(), col.int()
        return crow, col

    @lazy
    def transpose_order(self) -> Tensor:
        """The order in which the edges are sorted by target, `[E]`."""
        if self.by_target is not None:
            return self.by_target()
        return torch.argsort(self.col, stable=True)

    @lazy
    def transpose(self) -> "SparseGraph":
        """The graph with every edge turned round; itself where that is the same."""
        if self.is_symmetric:
            return self
        order = self.transpose_order
        weight = None if self.weight is None else self.weight[order]
        return SparseGraph(
            self.col[order],
            self.row[order],
            weight,
            self.ptr,
            self.num_nodes,
            by_target=lambda: inverse(order),
            columns_ascend=False,
        )

    @lazy
    def is_symmetric(self) -> bool:
        r"""Whether :math:`A = A^\top`, told where it is cheap to tell, else `False`.

        On the CPU and without weights, :math:`u^\top A v = v^\top A u` is looked at for
        the six pairs of four vectors of random integers within 2^12. Sums of integers
        are exact in float32 below 2^24 and in float64 below 2^53, of mixed signs in
        whatever order, and far above that the answer is `False`. Unequal matrices pass
        with a chance of about 2^-39.
        """
        if self.weight is not None or not device.is_readable(self.row):
            return False
        few = self.num_nodes <= _FEW
        ends = _few_ends()[: self.num_nodes] if few else _ends(self.num_nodes)
        with torch.autocast("cpu", enabled=False):
            moved = self.matrix(torch.float) @ ends
            products = ends.t().double() @ moved.double()
        return torch.equal(products, products.t())

    @property
    def square_sum(self) -> Tensor:
        r""":math:`\|A\|_F^2` in float64, `[]`."""
        if self.weight is None:
            return torch.tensor(
                float(self.row.numel()), dtype=torch.double, device=self.row.device
            )
        return self.weight.double().square().sum()

    def edge_products(self, left: Tensor, right: Tensor) -> Tensor:
        r""":math:`L_i \cdot R_j` for every edge from i to j, `[E]`."""
        left, right = left.index_select(0, self.row), right.index_select(0, self.col)
        out: Tensor = torch.linalg.vecdot(left, right)
        return out

    def matrix(self, dtype: torch.dtype) -> Tensor:
        """:math:`A` as a torch CSR tensor, without gradient; one for each dtype."""
        if dtype not in self._matrices:
            self._matrices[dtype] = self._matrix(dtype)
        return self._matrices[dtype]

    @lazy
    def _matrices(self) -> dict[torch.dtype, Tensor]:
        return {}

    def _matrix(self, dtype: torch.dtype) -> Tensor:
        if self.weight is None:
            value = torch.ones(self.row.numel(), dtype=dtype, device=self.row.device)
        else:
            value = self.weight.detach().to(dtype)
        return self.with_values(value)

    def with_values(
        self,
        value: Tensor,  # [E]
    ) -> Tensor:
        """A torch CSR tensor with these entries."""
        size = (self.num_nodes, self.num_nodes)
        return torch.sparse_csr_tensor(
            *self.compressed, value, size, device=value.device, check_invariants=False
        )


def _ends(num_nodes: int) -> Tensor:
    """Four vectors of random integers within 2^12, `[N, 4]`, always the same."""
    fixed = torch.Generator("cpu").manual_seed(0)
    ends = torch.empty(num_nodes, 4, dtype=torch.float, device="cpu")
    return ends.random_(-(1 << 12), 1 << 12, generator=fixed)


@cache
def _few_ends() -> Tensor:
    """For small mini-batches made once, `[_FEW, 4]`."""
    return _ends(_FEW)


def inverse(order: Tensor) -> Tensor:
    """The order that undoes `order`, `[E]`."""
    position = torch.arange(order.numel(), device=order.device)
    return torch.empty_like(position).scatter_(0, order, position)
