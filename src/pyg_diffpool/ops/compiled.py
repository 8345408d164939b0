"""The sparse backend as operators of torch's own kind, for `torch.compile`.

A compiled graph calls them as black boxes: sparse tensors and looks at values stay
inside. They can be differentiated once. Without compilation they are not used.
"""

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from pyg_diffpool.ops.graph import SparseGraph
from pyg_diffpool.ops.pooled import Pooled
from pyg_diffpool.ops.ragged import align
from pyg_diffpool.ops.sparse_kernel import (
    Needs,
    pool_backward_kernel,
    pool_kernel,
    spmm_kernel,
    square_kernel,
)


def compiled_sparse_pool(x: Tensor, graph: SparseGraph, s: Tensor) -> Pooled:
    """`sparse_pool` within a compiled graph."""
    out = _pool(x, graph.row, graph.col, graph.weight, graph.ptr, s)
    return Pooled(*out[:3])


def as_graph(
    row: Tensor, col: Tensor, weight: Tensor | None, ptr: Tensor, num_nodes: int
) -> SparseGraph:
    """The graph; a compiler is free to pass any strides, the kernels are not."""
    if weight is not None:
        weight = weight.contiguous()
    return SparseGraph(row.contiguous(), col.contiguous(), weight, ptr, num_nodes)


@custom_op("pyg_diffpool::sparse_pool", mutates_args=())
def _pool(
    x: Tensor,
    row: Tensor,
    col: Tensor,
    weight: Tensor | None,
    ptr: Tensor,
    s: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    graph = as_graph(row, col, weight, ptr, x.size(0))
    pooled, buffer = pool_kernel(x, graph, s)
    gram = pooled.gram.clone(memory_format=torch.contiguous_format)
    return pooled.x, pooled.adj, gram, buffer


@_pool.register_fake
def _fake_pool(
    x: Tensor, row: Tensor, col: Tensor, weight: Tensor | None, ptr: Tensor, s: Tensor
) -> tuple[Tensor, ...]:
    (n, c), k, b = x.shape, s.size(1), ptr.numel() - 1
    buffer = s.new_empty(n, align(c, s.dtype) + 2 * align(k, s.dtype))
    return *(s.new_empty(b, k, w) for w in (c, k, k)), buffer


@custom_op("pyg_diffpool::sparse_pool_backward", mutates_args=())
def _pool_backward(
    row: Tensor,
    col: Tensor,
    weight: Tensor | None,
    ptr: Tensor,
    buffer: Tensor,
    grad_x: Tensor,
    grad_adj: Tensor,
    grad_gram: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    graph = as_graph(row, col, weight, ptr, buffer.size(0))
    grads = Pooled(grad_x, grad_adj, grad_gram)
    needs = Needs(x=True, weight=weight is not None, s=True)
    found = pool_backward_kernel(graph, buffer, grads, needs)
    x, edge, s = (buffer.new_empty(0) if t is None else t.contiguous() for t in found)
    return x, edge, s


@_pool_backward.register_fake
def _fake_pool_backward(
    row: Tensor,
    col: Tensor,
    weight: Tensor | None,
    ptr: Tensor,
    buffer: Tensor,
    grad_x: Tensor,
    grad_adj: Tensor,
    grad_gram: Tensor,
) -> tuple[Tensor, ...]:
    n, (_, k, c) = buffer.size(0), grad_x.shape
    edges = 0 if weight is None else row.numel()
    return tuple(buffer.new_empty(shape) for shape in ((n, c), (edges,), (n, k)))


def _setup_context(ctx: Any, inputs: Any, output: Any) -> None:
    _, row, col, weight, ptr, _ = inputs
    ctx.save_for_backward(row, col, weight, ptr, output[3])


def _backward(
    ctx: Any, grad_x: Tensor, grad_adj: Tensor, grad_gram: Tensor, _: Tensor
) -> tuple[Tensor | None, ...]:
    row, col, weight, ptr, buffer = ctx.saved_tensors
    x, edge, s = _pool_backward(
        row, col, weight, ptr, buffer, grad_x, grad_adj, grad_gram
    )
    return x, None, None, None if weight is None else edge.to(weight.dtype), None, s


_pool.register_autograd(_backward, setup_context=_setup_context)


def compiled_sparse_square(graph: SparseGraph, s: Tensor) -> Tensor:
    """`sparse_square` within a compiled graph."""
    weight = None if graph.weight is None else graph.weight.detach()
    out: Tensor = _square(graph.row, graph.col, weight, graph.ptr, s.detach())
    return out


@custom_op("pyg_diffpool::sparse_square", mutates_args=())
def _square(
    row: Tensor, col: Tensor, weight: Tensor | None, ptr: Tensor, s: Tensor
) -> Tensor:
    return square_kernel(as_graph(row, col, weight, ptr, s.size(0)), s)


@_square.register_fake
def _fake_square(
    row: Tensor, col: Tensor, weight: Tensor | None, ptr: Tensor, s: Tensor
) -> Tensor:
    return s.new_empty((), dtype=torch.double)


def compiled_spmm(graph: SparseGraph, weight: Tensor | None, x: Tensor) -> Tensor:
    """`spmm` within a compiled graph."""
    out: Tensor = _spmm(graph.row, graph.col, weight, x)
    return out


@custom_op("pyg_diffpool::spmm", mutates_args=())
def _spmm(row: Tensor, col: Tensor, weight: Tensor | None, x: Tensor) -> Tensor:
    graph = as_graph(row, col, weight, row.new_empty(0), x.size(0))
    return spmm_kernel(graph, x.contiguous()).contiguous()


@_spmm.register_fake
def _fake_spmm(row: Tensor, col: Tensor, weight: Tensor | None, x: Tensor) -> Tensor:
    return x.new_empty(x.shape)


def _spmm_setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _spmm_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    row, col, weight, x = ctx.saved_tensors
    grad_weight = grad_x = None
    if ctx.needs_input_grad[2]:
        graph = SparseGraph(row, col, weight, row, x.size(0))
        grad_weight = graph.edge_products(grad, x).to(weight.dtype)
    if ctx.needs_input_grad[3]:
        order = torch.argsort(col, stable=True)
        turned = None if weight is None else weight[order]
        grad_x = _spmm(col[order], row[order], turned, grad)
    return None, None, grad_weight, grad_x


_spmm.register_autograd(_spmm_backward, setup_context=_spmm_setup_context)
