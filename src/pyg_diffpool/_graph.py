r"""The sparse adjacency of a mini-batch: every form in, sorted CSR out.

One `SparseGraph` is made per mini-batch from the edges as they come and serves every
layer and the pooling: rows sorted, repeated edges summed, the transpose found once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from torch import Tensor
from torch_geometric import EdgeIndex

from pyg_diffpool import _engine, _modes
from pyg_diffpool._checks import ascends_within, check_range, stop_at_wrong_edges
from pyg_diffpool._modes import kernel, without_autocast
from pyg_diffpool._sparse import Indices, csr, edge_products, edge_sum, spmm

T = TypeVar("T")
_FEW = 2**15  # nodes
_COUNTED = 2**10  # graphs, by one program


def kept(method: Callable[[Any], T]) -> T:
    """A property computed once, without gradient once more: a `cached_property`.

    The lock of that in Python 3.10 and 3.11 is none that `torch.compile` can trace.
    """

    def get(self: Any) -> Any:
        name = f"_{method.__name__}_{torch.is_grad_enabled()}"
        if not hasattr(self, name):
            setattr(self, name, method(self))
        return getattr(self, name)

    return cast(T, property(get, doc=method.__doc__))


@dataclass(eq=False)
class SparseGraph:
    r"""A mini-batch of graphs, :math:`A` of shape `[N, N]`, block-diagonal.

    Edge e runs from node `row[e]` to node `col[e]`; rows ascend, and the columns within
    each. A pair occurs once, or its further occurrences carry the weight 0. Edge e is
    the `order[e]`-th of those that came; `None` is the same order.
    """

    row: Tensor  # [E], the sources
    col: Tensor  # [E], the targets
    crow: Tensor  # [N + 1], where each row starts
    weight: Tensor | None  # [E]; `None` is ones
    ptr: Tensor  # [B + 1], graph b holds the nodes ptr[b]:ptr[b + 1]
    order: Tensor | None = None  # [E]
    symmetric: Tensor | None = None  # [], boolean, on the CPU; `None` is unknown
    _values: dict[Any, Tensor] = field(default_factory=dict)

    @kept
    def compressed(self) -> tuple[Tensor, Tensor]:
        """`crow` and `col` as kernels want them.

        On a CPU that is int32 where it suffices: products take 0.7 to 0.9 of the time.
        """
        small = max(self.crow.numel(), self.col.numel()) < 2**31
        if _modes.may_read_values(self.col) and small:
            return self.crow.int(), self.col.int()
        return self.crow, self.col

    def values(self, dtype: torch.dtype) -> Tensor:
        """The entries of A, `[E]`, with the gradient of the weights."""
        key = dtype, torch.is_grad_enabled()
        if key not in self._values:
            if self.weight is None:
                self._values[key] = torch.ones_like(self.row, dtype=dtype)
            else:
                self._values[key] = self.weight.to(dtype).contiguous()
        return self._values[key]

    @kept
    def is_symmetric(self) -> Tensor:
        """Whether A is its own transpose, told where that is cheap, else `False`."""
        if self.symmetric is not None:
            return self.symmetric
        told = self.weight is None and _modes.may_read_values(self.col)
        told = told and _is_symmetric(*self.compressed)
        return torch.tensor(told, device="cpu")

    @kept
    def indices(self) -> Indices:
        """Those of A and of its transpose."""
        if _modes.may_read_values(self.col) and bool(self.is_symmetric):
            return Indices(*self.compressed, *self.compressed, None)
        return self.pattern

    @kept
    def pattern(self) -> Indices:
        """The same for a matrix with other values, which need the transpose's order."""
        crow, col = self.compressed
        return Indices(crow, col, *transpose(self.row, col, crow))

    def stays_within(self, batch: Tensor) -> bool:
        """Whether every edge ends in the graph it starts in, `batch` `[N]`.

        Sources must be in range, targets need not be: a row's first and last tell.
        """
        tensors = self.col, self.crow, self.ptr, batch
        cols, starts, bounds, graph = (t.cpu().numpy() for t in tensors)
        rows = np.flatnonzero(starts[1:] > starts[:-1])
        graph = graph[rows]
        first, last = cols[starts[rows]], cols[starts[rows + 1] - 1]
        return bool(((first >= bounds[graph]) & (last < bounds[graph + 1])).all())

    def mm(self, x: Tensor, transposed: bool = False) -> Tensor:
        r""":math:`A X` or :math:`A^\top X`, `[N, C]`."""
        if _modes.may_launch(x) and _engine.runs_sums(x):
            value = None if self.weight is None else self.values(torch.float)
            return edge_sum(x, value, transposed, self.row, self.col, self.crow)
        return spmm(self.values(x.dtype), x, transposed, *self.indices)

    def edge_products(self, left: Tensor, right: Tensor) -> Tensor:
        r""":math:`L_i \cdot R_j` for every edge from i to j, `[E]`."""
        return edge_products(left, right, *self.pattern)


class Groups(NamedTuple):
    """Which nodes are of which graph."""

    ptr: Tensor  # [B + 1], where each graph starts
    sizes: Tensor  # [B], its nodes
    counts: Tensor  # [2], float64, pairs of nodes within graphs, and nodes


def group_nodes(batch: Tensor | None, batch_size: int | None, like: Tensor) -> Groups:
    """The graphs of a mini-batch; `batch_size` saves a look at the device."""
    if batch is None:
        ptr = torch.arange(2, device=like.device) * like.size(0)
    else:
        if batch_size is None:
            # Not `int`, which is no symbol.
            batch_size = cast(int, batch[-1].item()) + 1
            torch._check(batch_size >= 1)
        is_open = _modes.is_in_the_open(batch) and _modes.may_launch(batch)
        if is_open and batch_size <= _COUNTED and _engine.runs_on(batch):
            group = _engine.kernels("_triton_edges").group_nodes
            return Groups(*group(batch, batch_size))
        # Not PyG's `index2ptr`, which takes strided tensors for contiguous ones.
        graphs = torch.arange(batch_size + 1, device=batch.device)
        ptr = torch.searchsorted(batch.contiguous(), graphs)
    sizes = ptr.diff()
    return Groups(ptr, sizes, count_pairs(sizes))


def count_pairs(sizes: Tensor) -> Tensor:
    """Pairs of nodes within graphs of these sizes, `[B]`, and nodes, float64, `[2]`."""
    return torch.stack([sizes * sizes, sizes]).sum(1, dtype=torch.double)


def batch_pointer(batch: Tensor | None, batch_size: int | None, like: Tensor) -> Tensor:
    """Where each graph starts, `[B + 1]`."""
    return group_nodes(batch, batch_size, like).ptr


def make_graph(
    edge_index: Tensor,  # [2, E]
    edge_weight: Tensor | None,  # [E]
    ptr: Tensor,  # [B + 1]
    num_nodes: int,
    dtype: torch.dtype,
    batch: Tensor | None = None,  # [N]
) -> SparseGraph:
    """Sort the edges by row and sum repeated ones; sorted edges pass through as is.

    Whether they are is looked at on a CPU; elsewhere the look would wait. Repeated
    edges are counted in `dtype`, and weights summed in float64. The graph of each node
    is for the kernels of a GPU, which stop at an edge between two.
    """
    if isinstance(edge_index, EdgeIndex):
        edge_index = edge_index.as_tensor()
    if _modes.may_read_values(edge_index):
        row, col = edge_index.contiguous()
        if ascends_within(row, num_nodes):
            crow = _compress(row, num_nodes)
            if _rises_between(col, crow):
                return SparseGraph(row, col, crow, edge_weight, ptr)
    given = edge_index, num_nodes, dtype, batch, ptr.numel() - 1
    row, col, crow, order, run, count, symmetric = _sort_edges(*given)
    if edge_weight is None:
        weight = count
    else:
        wide = edge_weight.double()[order]
        summed = torch.zeros_like(wide).index_add(0, run, wide)
        weight = summed.to(torch.promote_types(edge_weight.dtype, dtype))
    told = symmetric if edge_weight is None else None
    return SparseGraph(row, col, crow, weight, ptr, order, told)


@lru_cache
def _unknown() -> Tensor:
    """What is told of symmetry where nobody looked."""
    with torch.inference_mode(False):  # lest it be of no use to gradients
        return torch.tensor(False, device="cpu")


def _fake_sort(
    edge_index: Tensor, num_nodes: int, dtype: torch.dtype, *_: Any
) -> tuple[Tensor, ...]:
    e, kept = edge_index.size(1), edge_index.new_empty
    symmetric = torch.empty((), dtype=torch.bool, device="cpu")
    index = kept(e), kept(e), kept(num_nodes + 1), kept(e), kept(e)
    return *index, kept(e, dtype=dtype), symmetric


@kernel(
    "sort_edges(Tensor edge_index, SymInt num_nodes, ScalarType dtype, "
    "Tensor? batch, SymInt num_graphs) -> "
    "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    _fake_sort,
)
def _sort_edges(
    edge_index: Tensor,
    num_nodes: int,
    dtype: torch.dtype,
    batch: Tensor | None,
    num_graphs: int,
) -> tuple[Tensor, ...]:
    """Row, column, row pointer, order, the first edge of the same pair, its count."""
    if _modes.may_launch(edge_index) and _engine.runs_on(edge_index):
        sort = _engine.kernels("_triton_edges").sort_edges
        return *sort(edge_index, num_nodes, dtype, batch, num_graphs), _unknown()
    if _modes.may_read_indices(edge_index):
        check_range(edge_index, num_nodes)
    elif not _modes.is_transformed():
        stop_at_wrong_edges(edge_index, num_nodes, batch)
    row, col = edge_index
    key = torch.add(col, row, alpha=num_nodes)
    first = torch.arange(key.numel(), device=key.device)
    if _modes.may_read_values(key) and bool((key.diff() > 0).all()):
        order = first.clone()
    else:
        key, order = torch.sort(key, stable=True)
    first[1:].mul_(key[1:] != key[:-1])
    first = first.cummax(0).values
    count = torch.zeros_like(key).index_add_(0, first, torch.ones_like(key))
    row, col = row[order], col[order]
    nodes = torch.arange(num_nodes + 1, device=row.device)
    crow = torch.searchsorted(row, nodes)  # safe if a row is out of range
    told = _modes.may_read_values(edge_index) and bool((count > 0).all())
    told = told and _is_symmetric(crow, col)
    symmetric = torch.tensor(told, device="cpu")
    return row, col, crow, order, first, count.to(dtype), symmetric


def _fake_transpose(row: Tensor, col: Tensor, crow: Tensor) -> tuple[Tensor, ...]:
    return torch.empty_like(crow), torch.empty_like(col), torch.empty_like(row)


@kernel(
    "transpose(Tensor row, Tensor col, Tensor crow) -> (Tensor, Tensor, Tensor)",
    _fake_transpose,
)
def transpose(row: Tensor, col: Tensor, crow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row pointer and columns of the transpose, and the order of its entries."""
    ends, order = torch.sort(col, stable=True)
    crow_t = _compress(ends.to(row.dtype), crow.numel() - 1).to(crow.dtype)
    return crow_t, row.index_select(0, order).to(col.dtype), order


def _compress(row: Tensor, num_nodes: int) -> Tensor:
    """Where each row starts, `[N + 1]`, from rows that ascend."""
    return torch._convert_indices_from_coo_to_csr(row.contiguous(), num_nodes)


def _is_symmetric(crow: Tensor, col: Tensor) -> bool:
    r"""Whether the matrix of ones with these entries is its own transpose.

    :math:`u^\top A v = v^\top A u` is looked at for the six pairs of four vectors of
    random integers within 2^12. Sums of integers are exact in float32 below 2^24 and in
    float64 below 2^53, of mixed signs in whatever order, and far above that the answer
    is `False`. Unequal matrices pass with a chance of about 2^-39.
    """
    n = crow.numel() - 1
    ones = torch.ones_like(col, dtype=torch.float)
    make = _probes.__wrapped__ if n > _FEW else _probes  # kept for small ones
    probes, wide = make(max(n, _FEW))
    with without_autocast("cpu"):
        sums = csr(crow, col, ones) @ probes[:n]
    products = wide[:, :n] @ sums.numpy().astype(np.float64)
    return np.array_equal(products, products.T)


@lru_cache(maxsize=1)
def _probes(num_nodes: int) -> tuple[Tensor, Any]:
    """Four vectors of random integers within 2^12, `[N, 4]`, always the same.

    And their transpose in float64, for NumPy.
    """
    fixed = torch.Generator("cpu").manual_seed(0)
    probes = torch.empty(num_nodes, 4, dtype=torch.float, device="cpu")
    probes.random_(-(1 << 12), 1 << 12, generator=fixed)
    return probes, probes.t().double().numpy()


def _rises_between(
    index: Tensor,  # [E]
    start: Tensor,  # [N + 1], from 0 to E
) -> bool:
    """Whether the entries of each part `start[i]:start[i + 1]` ascend strictly.

    With NumPy, which compares int64 in a third of torch's time.
    """
    values, starts = index.numpy(), start.numpy()
    falls = values[1:] <= values[:-1]
    inner = starts[(starts > 0) & (starts < values.size)]
    falls[inner - 1] = False
    return not falls.any()
