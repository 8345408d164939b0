"""The pooling of edge features as operators of torch's own kind, see `compiled.py`."""

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from pyg_diffpool.ops.compiled import as_graph
from pyg_diffpool.ops.edge_kernel import (
    EdgeNeeds,
    pool_edges_backward_kernel,
    pool_edges_kernel,
)
from pyg_diffpool.ops.graph import SparseGraph


def compiled_pool_edges(attr: Tensor, graph: SparseGraph, s: Tensor) -> Tensor:
    """`pool_edges` within a compiled graph."""
    out: Tensor = _pool_edges(attr, graph.row, graph.col, graph.ptr, s)
    return out


@custom_op("pyg_diffpool::pool_edges", mutates_args=())
def _pool_edges(
    attr: Tensor, row: Tensor, col: Tensor, ptr: Tensor, s: Tensor
) -> Tensor:
    return pool_edges_kernel(attr, as_graph(row, col, None, ptr, s.size(0)), s)


@_pool_edges.register_fake
def _fake_pool_edges(
    attr: Tensor, row: Tensor, col: Tensor, ptr: Tensor, s: Tensor
) -> Tensor:
    b, k = ptr.numel() - 1, s.size(1)
    return s.new_empty(b, k, k, attr.size(1))


@custom_op("pyg_diffpool::pool_edges_backward", mutates_args=())
def _pool_edges_backward(
    attr: Tensor, row: Tensor, col: Tensor, ptr: Tensor, s: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    graph = as_graph(row, col, None, ptr, s.size(0))
    needs = EdgeNeeds(attr=True, s=True)
    found = pool_edges_backward_kernel(attr, graph, s, grad, needs)
    out_attr, out_s = (torch.empty(0) if t is None else t.contiguous() for t in found)
    return out_attr, out_s


@_pool_edges_backward.register_fake
def _fake_pool_edges_backward(
    attr: Tensor, row: Tensor, col: Tensor, ptr: Tensor, s: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    return attr.new_empty(attr.shape), s.new_empty(s.shape)


def _setup_context(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    attr, row, col, ptr, s = ctx.saved_tensors
    out_attr, out_s = _pool_edges_backward(attr, row, col, ptr, s, grad)
    return out_attr, None, None, None, out_s


_pool_edges.register_autograd(_backward, setup_context=_setup_context)
