r"""The sparse adjacency of a mini-batch.

One `SparseGraph` is made per mini-batch from the edges as they come and serves every
product: rows sorted, repeated edges summed, compressed rows (CSR) for the kernel.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.index import index2ptr

from pyg_diffpool.ops import device
from pyg_diffpool.ops.lazy import lazy

warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)


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
        """Whether no edge joins two graphs, read back from the device.

        Where targets ascend within a row, its first and last tell.
        """
        if not self.columns_ascend:
            return torch.equal(batch[self.row], batch[self.col])
        if self.row.numel() == 0:
            return True
        start, end = self.crow[:-1], self.crow[1:]
        first = self.col[start.clamp(max=self.row.numel() - 1)]
        last = self.col[end - 1]
        stays = (first >= self.ptr[batch]) & (last < self.ptr[1:][batch])
        return bool((stays | (start == end)).all())

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
        two vectors of random integers within 2^19. Sums of integers are exact in
        float64 below 2^53, of mixed signs in whatever order, and far above that the
        answer is `False`. Unequal matrices pass with a chance of about 2^-40.
        """
        if self.weight is not None or not device.is_readable(self.row):
            return False
        fixed = torch.Generator().manual_seed(0)
        ends = torch.empty(self.num_nodes, 2, dtype=torch.double)
        ends.random_(-(1 << 19), 1 << 19, generator=fixed)
        (u, v), (au, av) = ends.t(), (self.matrix(torch.double) @ ends).t()
        return bool(u.dot(av) == v.dot(au))

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
        size = (self.num_nodes, self.num_nodes)
        return torch.sparse_csr_tensor(
            self.crow, self.col, value, size, check_invariants=False
        )


def make_graph(
    edge_index: Tensor,  # [2, E]
    edge_weight: Tensor | None,  # [E]
    ptr: Tensor,  # [B + 1]
    num_nodes: int,
) -> SparseGraph:
    """Sort the edges by row and sum repeated ones; sorted edges pass through as is.

    Whether they are sorted is looked at on the CPU only: on a GPU the look would wait
    for the device, and the sort is cheap.
    """
    row, col = edge_index[0].contiguous(), edge_index[1].contiguous()
    if is_sorted(row, col, num_nodes):
        return SparseGraph(row, col, edge_weight, ptr, num_nodes)
    key, order = torch.sort(_key(row, col, num_nodes), stable=True)
    first = key.diff(prepend=key.new_full((1,), -1)) != 0
    if edge_weight is None:
        edge_weight = torch.ones(key.numel(), device=key.device)
    # The sum of each run of equal pairs goes to the first edge of the run.
    run = first.cumsum(0) - 1
    summed = torch.zeros_like(edge_weight).index_add(0, run, edge_weight[order])
    weight = summed[run] * first
    row, col = row[order], col[order]
    return SparseGraph(row, col, weight, ptr, num_nodes, order=order)


def is_sorted(major: Tensor, minor: Tensor, num_nodes: int) -> bool:
    """Whether edges are seen to ascend strictly, so that none is repeated."""
    if not device.is_readable(major):
        return False
    key = _key(major, minor, num_nodes)
    return bool((key[1:] > key[:-1]).all())


def inverse(order: Tensor) -> Tensor:
    """The order that undoes `order`, `[E]`."""
    position = torch.arange(order.numel(), device=order.device)
    return torch.empty_like(position).scatter_(0, order, position)


def _key(major: Tensor, minor: Tensor, num_nodes: int) -> Tensor:
    return torch.add(minor, major, alpha=num_nodes)
