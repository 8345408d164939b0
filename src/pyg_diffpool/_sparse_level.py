r"""A level on the sparse form: no tensor of size `M x M`, and no padding.

One ragged product gives all that forward wants,
:math:`S^\top [\,X \mid Y \mid S\,] = [\,X' \mid A' \mid G\,]`; backward, :math:`dA` is
wanted at the edges only. Work and memory grow with `E + N`. The norm is the expanded
one; in float64 it is good to about :math:`10^{-8}\,\|A\|`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyg_diffpool import _engine, _modes
from pyg_diffpool._graph import SparseGraph, transpose
from pyg_diffpool._level import (
    RESOLUTION,
    Level,
    divide,
    loss_gradients,
    softmax,
    softmax_backward,
    softmax_with_entropy,
)
from pyg_diffpool._losses import expanded_norm, root
from pyg_diffpool._modes import (
    Gradients,
    Operation,
    Saved,
    kernel,
    needs_gradient,
    operation,
)
from pyg_diffpool._ragged import Ragged, align, find_tiles, takes_rows
from pyg_diffpool._sparse import csr, edge_products, spmm


def sparse_level(
    x: Tensor,  # [N, C]
    graph: SparseGraph,
    logits: Tensor,  # [N, K]
    divisors: Tensor,  # [2], float64
    dtype: torch.dtype,  # of the losses
) -> Level:
    """Pool every graph of a sparse mini-batch."""
    if _modes.may_launch(x) and _engine.runs_level(x, logits.size(1)):
        value = None if graph.weight is None else graph.values(torch.float)
        gradient = needs_gradient(x, value, logits) or torch.compiler.is_compiling()
        where = graph.ptr, graph.row, graph.col, graph.crow
        rest = divisors, dtype, gradient, *where
        return Level(*_level_by_kernels(x, value, logits, *rest))
    inputs = x, graph.values(x.dtype), logits, divisors, dtype
    symmetric: Tensor | None = None
    indices: Sequence[Any] = *graph.compressed, None, None, None
    if needs_gradient(*inputs) and not _modes.is_transformed():
        symmetric, indices = graph.is_symmetric, graph.indices
    ptr = graph.ptr
    tiles = (None, None) if takes_rows(x, ptr) else find_tiles(ptr, x.size(0))
    return Level(*_level(*inputs, symmetric, ptr, *tiles, *indices))


class _SparseLevel(Operation):
    schema = (
        "sparse_level(Tensor x, Tensor value, Tensor logits, Tensor divisors, "
        "ScalarType dtype, Tensor? symmetric, Tensor ptr, Tensor? graph, Tensor? slot, "
        "Tensor crow, Tensor col, Tensor? crow_t, Tensor? col_t, Tensor? order_t) -> "
        "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
    )
    results = 6
    keeps = 2, 6, 5, 7

    @staticmethod
    def forward(
        x: Tensor,  # [N, C]
        value: Tensor,  # [E]
        logits: Tensor,  # [N, K]
        divisors: Tensor,  # [2]
        dtype: torch.dtype,
        symmetric: Tensor | None,
        ptr: Tensor,  # [B + 1]
        graph: Tensor | None,  # [T]
        slot: Tensor | None,  # [N]
        *indices: Any,
    ) -> tuple[Tensor, ...]:
        """The level, and what the gradients want: `[X | Y | S]` and L.

        Each part of the buffer is padded to the alignment of the ragged product.
        """
        (n, c), k, (crow, col) = x.shape, logits.size(1), indices[:2]
        c4, k4 = align(c, x.dtype), align(k, x.dtype)
        ragged = Ragged(ptr, n, graph, slot)
        s, entropy = softmax(logits, None)
        new = x.new_empty if (c, k) == (c4, k4) else x.new_zeros
        buffer = new(n, c4 + 2 * k4)
        z, y, s4 = buffer.split([c4, k4, k4], 1)
        z[:, :c], s4[:, :k] = x, s
        torch.mm(csr(crow, col, value), s if k == k4 else s4, out=y)
        parts = ragged.spread(buffer)
        pooled = ragged.contract(parts[..., -k4:], parts)[:, :k].split([c4, k4, k4], 2)
        out_x, out_adj, gram = (
            part[..., :width].clone(memory_format=torch.contiguous_format)
            for part, width in zip(pooled, (c, k, k), strict=True)
        )
        exact = partial(_exact_norm, value, s, ragged, indices)
        norm = expanded_norm(value, out_adj, gram, exact)
        losses = divide(norm, entropy, divisors, dtype)
        return out_x, out_adj, s, *losses, gram, buffer, norm

    @staticmethod
    def fake(
        x: Tensor, value: Tensor, logits: Tensor, *rest: Any
    ) -> tuple[Tensor, ...]:
        _, dtype, _, ptr, *_ = rest
        (n, c), k, b = x.shape, logits.size(1), ptr.numel() - 1
        new, width = x.new_empty, align(c, x.dtype) + 2 * align(k, x.dtype)
        losses = (new((), dtype=dtype) for _ in range(2))
        level = new(b, k, c), new(b, k, k), new(n, k), *losses, new(b, k, k)
        return *level, new(n, width), new((), dtype=torch.double)

    @staticmethod
    def plain(
        x: Tensor, value: Tensor, logits: Tensor, *rest: Any
    ) -> tuple[Tensor, ...]:
        divisors, dtype, _, ptr, graph, slot, *indices = rest
        p, entropy = softmax_with_entropy(logits)
        s = p.to(x.dtype)
        y = spmm(value, s, False, *indices)
        ragged = Ragged(ptr, x.size(0), graph, slot)
        parts = ragged.spread(torch.cat([x, y, s], 1))
        pooled = ragged.contract(parts[..., -s.size(1) :], parts)
        norm = _exact_norm(value, s, ragged, indices)
        entropy = entropy.sum(dtype=torch.double)
        out_x, out_adj, gram = pooled.split([x.size(1), *2 * [s.size(1)]], 2)
        return out_x, out_adj, s, *divide(norm, entropy, divisors, dtype), gram

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        (x, value, _, divisors, _, *where), kept, needs, grads = saved
        s, buffer, gram, norm = kept
        given = buffer, s, value, gram, norm, divisors, x.size(1), needs[:3]
        return tuple(_gradients(*given, *where, *grads))


_level = operation(_SparseLevel)


class _SparseLevelByKernels(Operation):
    """The same by Triton's kernels: sums in float32, and Y and W saved."""

    schema = (
        "sparse_level_by_kernels(Tensor x, Tensor? value, Tensor logits, "
        "Tensor divisors, ScalarType dtype, bool gradient, Tensor ptr, Tensor row, "
        "Tensor col, Tensor crow) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, "
        "Tensor, Tensor, Tensor)"
    )
    results = 6
    keeps = 2, 5, 6, 7, 8

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        """The level, and what the gradients want: Y, W and L."""
        return tuple(_engine.kernels().sparse_forward(*inputs[:-1]))

    @staticmethod
    def fake(x: Tensor, value: Tensor | None, logits: Tensor, *rest: Any) -> Any:
        _, dtype, gradient, ptr, *_ = rest
        return _engine.new_level(x, logits, ptr.numel() - 1, dtype, gradient)

    @staticmethod
    def plain(
        x: Tensor, value: Tensor | None, logits: Tensor, *rest: Any
    ) -> tuple[Tensor, ...]:
        divisors, dtype, _, ptr, row, col, crow = rest
        value = x.new_ones(row.numel()) if value is None else value
        indices = crow, col, *transpose(row, col, crow)
        given = divisors, dtype, None, ptr, None, None, *indices
        out = _SparseLevel.plain(x, value.to(x.dtype), logits, *given)
        return tuple(t if i == 2 else t.float() for i, t in enumerate(out))

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        (x, value, _, divisors, _, _, ptr, _, col, crow), kept, needs, grads = saved
        given = divisors, list(needs[:3]), ptr, value, crow, col, *grads
        return tuple(_gradients_by_kernels(x, *kept, *given))


_level_by_kernels = operation(_SparseLevelByKernels)


def _fake_gradients_by_kernels(x: Tensor, s: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    needs, _, value = rest[5:8]
    pairs = zip((x, value, s), needs, strict=True)
    return tuple(t.new_empty(t.shape) if need else x.new_empty(0) for t, need in pairs)


@kernel(
    "sparse_level_gradients_by_kernels(Tensor x, Tensor s, Tensor gram, Tensor y, "
    "Tensor w, Tensor norm, Tensor divisors, bool[] needs, Tensor ptr, Tensor? value, "
    "Tensor crow, Tensor col, Tensor? d_x, Tensor? d_adj, Tensor? d_s, Tensor? d_link, "
    "Tensor? d_entropy, Tensor? d_gram) -> (Tensor, Tensor, Tensor)",
    _fake_gradients_by_kernels,
)
def _gradients_by_kernels(x: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    """The gradients of x, of the entries of A and of the logits, where asked for."""
    made, (divisors, needs, ptr, *edges), grads = rest[:5], rest[5:11], rest[11:]
    given = made, divisors, needs, grads, ptr
    out_x, out_s, t, rate = _engine.kernels().gradients(x, *given)
    out_value = None
    if t is not None:
        value, crow, col = edges
        wide = made[0].float()
        out_value = edge_products(t, wide, crow, col, None, None, None) + rate * value
    found = out_x, out_value, out_s
    return tuple(x.new_empty(0) if out is None else out for out in found)


def _exact_norm(value: Tensor, s: Tensor, ragged: Ragged, indices: Any) -> Tensor:
    """The expanded norm with every product in float64, `[]`."""
    value, s = value.double(), s.double()
    parts = ragged.spread(s)
    gram = ragged.contract(parts, parts).flatten()
    trace = s.flatten().dot(spmm(value, s, False, *indices).flatten())
    scale = value.dot(value) + gram.dot(gram)
    return root(torch.sub(scale, trace, alpha=2), RESOLUTION * scale.detach())


def _fake_gradients(
    buffer: Tensor, s: Tensor, value: Tensor, *rest: Any
) -> tuple[Tensor, ...]:
    c, needs = rest[3:5]
    shapes = (buffer.size(0), c), value.shape, s.shape
    pairs = zip(shapes, needs, strict=True)
    return tuple(buffer.new_empty(shape if need else 0) for shape, need in pairs)


@kernel(
    "sparse_level_gradients(Tensor buffer, Tensor s, Tensor value, Tensor gram, "
    "Tensor norm, Tensor divisors, SymInt c, bool[] needs, Tensor symmetric, "
    "Tensor ptr, Tensor? graph, Tensor? slot, Tensor crow, Tensor col, Tensor crow_t, "
    "Tensor col_t, Tensor? order_t, Tensor? d_x, Tensor? d_adj, Tensor? d_s, "
    "Tensor? d_link, Tensor? d_entropy, Tensor? d_gram) -> (Tensor, Tensor, Tensor)",
    _fake_gradients,
)
def _gradients(
    buffer: Tensor,  # [N, C4 + 2 K4]
    s: Tensor,  # [N, K]
    value: Tensor,  # [E]
    gram: Tensor,  # [B, K, K]
    norm: Tensor,  # []
    divisors: Tensor,  # [2]
    c: int,
    needs: list[bool],
    *rest: Any,
) -> tuple[Tensor, ...]:
    r"""The gradients of x, of the entries of A and of the logits, where asked for.

    Where A is its own transpose :math:`A^\top T` is :math:`Y (D_A - r I)` and joins the
    product.
    """
    symmetric, ptr, graph, slot, crow, col, crow_t, col_t, order_t, *grads = rest
    d_x, d_adj, d_s, d_link, d_entropy, d_gram = grads
    k, k4 = s.size(1), align(s.size(1), buffer.dtype)
    ragged = Ragged(ptr, s.size(0), graph, slot)
    folded = _modes.may_read_values(buffer) and bool(symmetric)
    rate, down = loss_gradients(norm, divisors, d_link, d_entropy)
    blocks = _gradient_blocks(buffer, c, gram, rate, d_x, d_adj, d_gram)
    to_y, parts = blocks[..., -2 * k4 : -k4], ragged.spread(buffer)
    out_x, out_value, out_s = (buffer.new_empty(0) for _ in range(3))
    needs_t = needs[1] or (needs[2] and not folded)
    if needs[0] or needs_t:
        first, last = 0 if needs[0] else -2 * k4, -k4 if needs_t else -2 * k4
        both = ragged.expand(parts[..., -k4:], blocks[..., first:last])
        if needs[0]:
            out_x = ragged.collect(both[..., :c])
        if needs_t:
            t = ragged.collect(both[..., -k4:][..., :k])
    if needs[1]:
        out_value = edge_products(t, s, crow, col, None, None, None) + rate * value
    if needs[2]:
        if folded:
            to_y += to_y.mT.clone()
        out_s = ragged.collect(ragged.expand(parts, blocks.mT)[..., :k])
        if not folded:
            values = value if order_t is None else value[order_t]
            torch.addmm(out_s, csr(crow_t, col_t, values), t, out=out_s)
        out_s = softmax_backward(out_s, s, d_s, down)
    return out_x, out_value, out_s


def _gradient_blocks(
    buffer: Tensor,
    c: int,
    gram: Tensor,  # [B, K, K]
    rate: Tensor | float,  # []
    d_x: Tensor | None,  # [B, K, C]
    d_adj: Tensor | None,  # [B, K, K]
    d_gram: Tensor | None,  # [B, K, K]
) -> Tensor:
    r""":math:`[\,D_X \mid D_A - r I \mid 2 r G + D_G + D_G^\top\,]`, as the buffer."""
    b, k = gram.shape[:2]
    k4 = align(k, buffer.dtype)
    blocks = buffer.new_zeros(b, k4, buffer.size(1))
    to_x, to_y, to_s = blocks[:, :k].split([blocks.size(2) - 2 * k4, k4, k4], 2)
    to_y, to_s = to_y[..., :k], to_s[..., :k]
    if d_x is not None:
        to_x[..., :c] = d_x
    if d_adj is not None:
        to_y[...] = d_adj
    to_y.diagonal(dim1=1, dim2=2).sub_(rate)
    to_s.add_(gram * rate, alpha=2)
    if d_gram is not None:
        to_s += d_gram + d_gram.mT
    return blocks
