r"""Products of a sparse matrix, by torch's own CSR kernels.

.. math:: Y = A X, \qquad p_e = L_i \cdot R_j \text{ for every entry } e = (i, j)

Each is the gradient of the other: :math:`dA_e = dY_i \cdot X_j` and
:math:`dL = P R` with P of entries :math:`dp_e`. Torch's kernels are used also where
torch-scatter and torch-sparse are installed: on a CPU theirs take longer at every size
tried (`docs/backends.md`).
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_diffpool import _engine
from pyg_diffpool._modes import Gradients, Operation, Saved, operation, without_autocast

for _text in (
    "Sparse CSR tensor support is in beta",
    "Sparse invariant checks are implicitly disabled",  # by torch 2.11, though they are
):
    warnings.filterwarnings("ignore", _text, UserWarning)


class Indices(NamedTuple):
    """Where the entries of A stand, and those of its transpose."""

    crow: Tensor  # [N + 1]
    col: Tensor  # [E]
    crow_t: Tensor  # [N + 1]
    col_t: Tensor  # [E]
    order_t: Tensor | None  # [E], `None` where A is its own transpose


def csr(crow: Tensor, col: Tensor, value: Tensor) -> Tensor:
    """A torch CSR tensor `[N, N]`."""
    n = crow.numel() - 1
    return torch.sparse_csr_tensor(
        crow, col, value, (n, n), device=value.device, check_invariants=False
    )


def rows_of(crow: Tensor, col: Tensor) -> Tensor:
    """The row of each entry, `[E]`."""
    row = torch.arange(crow.numel() - 1, device=crow.device)
    return row.repeat_interleave(crow.diff(), output_size=col.numel())


class _SpMM(Operation):
    r""":math:`A X`, or :math:`A^\top X` if `transposed`, `[N, C]`.

    `value`, `[E]`, are the entries of A; `x` is `[N, C]`; `Indices` come last.
    """

    schema = (
        "spmm(Tensor value, Tensor x, bool transposed, Tensor crow, Tensor col, "
        "Tensor crow_t, Tensor col_t, Tensor? order_t) -> Tensor"
    )

    @staticmethod
    def forward(value: Tensor, x: Tensor, transposed: bool, *indices: Any) -> Tensor:
        crow, col, crow_t, col_t, order_t = indices
        if transposed:
            crow, col = crow_t, col_t
            value = value if order_t is None else value[order_t]
        dtype = x.dtype
        if x.device.type == "cpu":  # which has no kernel for half precision
            dtype = torch.promote_types(dtype, torch.float)
        with without_autocast(x.device.type):
            out = csr(crow, col, value.to(dtype)) @ x.to(dtype).contiguous()
            return out.to(x.dtype)

    @staticmethod
    def fake(value: Tensor, x: Tensor, *_: Any) -> Tensor:
        return x.new_empty(x.shape)

    @staticmethod
    def plain(value: Tensor, x: Tensor, transposed: bool, *indices: Any) -> Tensor:
        row, col = rows_of(*indices[:2]), indices[1]
        target, source = (col, row) if transposed else (row, col)
        messages = value.unsqueeze(-1) * x.index_select(0, source)
        return torch.zeros_like(x).index_add(0, target, messages)

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        inputs, _, needs, (grad,) = saved
        value, x, transposed, *indices = inputs
        pair = (x, grad) if transposed else (grad, x)
        back = value, grad, not transposed, *indices
        return (
            edge_products(*pair, *indices) if needs[0] else None,
            spmm(*back) if needs[1] else None,
        )


spmm: Callable[..., Tensor] = operation(_SpMM)


class _EdgeSum(Operation):
    r"""The same from the ends of edges, by a kernel of ours, which needs no transpose.

    torch's takes longer to be called than to run on graphs of some thousand edges.
    """

    schema = (
        "edge_sum(Tensor x, Tensor? value, bool transposed, Tensor row, Tensor col, "
        "Tensor crow) -> Tensor"
    )

    @staticmethod
    def forward(
        x: Tensor, value: Tensor | None, transposed: bool, *edges: Tensor
    ) -> Tensor:
        row, col, _ = edges
        ends = (col, row) if transposed else (row, col)
        out: Tensor = _engine.kernels().edge_sum(x, value, *ends)
        return out.to(x.dtype)

    @staticmethod
    def fake(x: Tensor, *_: Any) -> Tensor:
        return x.new_empty(x.shape)

    @staticmethod
    def plain(
        x: Tensor, value: Tensor | None, transposed: bool, *edges: Tensor
    ) -> Tensor:
        row, col, _ = edges
        target, source = (col, row) if transposed else (row, col)
        messages = x.index_select(0, source)
        if value is not None:
            messages = (value.unsqueeze(-1) * messages).to(x.dtype)
        return torch.zeros_like(x).index_add(0, target, messages)

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        (x, value, transposed, *edges), _, needs, (grad,) = saved
        assert grad is not None
        to_value = None
        if needs[1]:
            pair = (x, grad) if transposed else (grad, x)
            wide = (t.to(value.dtype) for t in pair)
            to_value = edge_products(*wide, edges[2], edges[1], None, None, None)
        back = grad, value, not transposed, *edges
        return edge_sum(*back) if needs[0] else None, to_value


edge_sum: Callable[..., Tensor] = operation(_EdgeSum)


class _EdgeProducts(Operation):
    """The products of rows of `left` and `right`, `[N, K]`, that entries join, `[E]`.

    From 2.5 to 150 times as fast as gathering rows by edge (one thread, K = 8 to 64).
    """

    schema = (
        "edge_products(Tensor left, Tensor right, Tensor crow, Tensor col, "
        "Tensor? crow_t, Tensor? col_t, Tensor? order_t) -> Tensor"
    )

    @staticmethod
    def forward(left: Tensor, right: Tensor, *indices: Any) -> Tensor:
        crow, col = indices[:2]
        if col.numel() > left.size(0) ** 2:  # as torch's kernel refuses
            return _EdgeProducts.plain(left, right, *indices)
        dtype = torch.promote_types(left.dtype, torch.float)
        pattern = csr(crow, col, left.new_zeros(col.numel(), dtype=dtype))
        wide = left.to(dtype).contiguous(), right.to(dtype).contiguous().t()
        with without_autocast(left.device.type):
            products = torch.sparse.sampled_addmm(pattern, *wide, beta=0.0)
        out: Tensor = products.values().to(left.dtype)
        return out

    @staticmethod
    def fake(left: Tensor, right: Tensor, crow: Tensor, col: Tensor, *_: Any) -> Tensor:
        return left.new_empty(col.numel())

    @staticmethod
    def plain(left: Tensor, right: Tensor, *indices: Any) -> Tensor:
        row, col = rows_of(*indices[:2]), indices[1]
        return (left.index_select(0, row) * right.index_select(0, col)).sum(-1)

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        inputs, _, needs, (grad,) = saved
        left, right, *indices = inputs
        return (
            spmm(grad, right, False, *indices) if needs[0] else None,
            spmm(grad, left, True, *indices) if needs[1] else None,
        )


edge_products: Callable[..., Tensor] = operation(_EdgeProducts)
