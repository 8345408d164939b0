"""Edge features pooled with their edges, differentiable any number of times."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pyg_diffpool.ops.compiled_edges import compiled_pool_edges
from pyg_diffpool.ops.edge_kernel import (
    EdgeNeeds,
    pool_edges_backward_kernel,
    pool_edges_kernel,
)
from pyg_diffpool.ops.gradients import plain_gradients, without_autocast
from pyg_diffpool.ops.graph import SparseGraph
from pyg_diffpool.ops.ragged import contract
from pyg_diffpool.ops.spmm import spmm


def pool_edges(
    attr: Tensor,  # [E, D], in the order of the graph's edges
    graph: SparseGraph,
    s: Tensor,  # [N, K]
) -> Tensor:
    r""":math:`\sum_{e = (i, j)} S_{ik} S_{jl} F_e` of every graph, `[B, K, K, D]`."""
    if torch.compiler.is_compiling():
        return compiled_pool_edges(attr, graph, s)
    out: Tensor = _PoolEdges.apply(attr, graph, s)
    return out


def plain_pool_edges(attr: Tensor, graph: SparseGraph, s: Tensor) -> Tensor:
    """`pool_edges` as it is defined, of operations with gradients of their own."""
    pooled = [
        contract(s, spmm(replace(graph, weight=value), value, s), graph.ptr)
        for value in attr.t().contiguous()
    ]
    return torch.stack(pooled, -1)


def padded_pool_edges(
    attr: Tensor,  # [B, M, M, D]
    s: Tensor,  # [B, M, K], rows of padding are 0
) -> Tensor:
    """`pool_edges` of dense blocks, `[B, K, K, D]`."""
    turned = s.transpose(1, 2)
    half = (turned @ attr.flatten(2)).unflatten(2, attr.shape[2:])  # [B, K, M, D]
    shape = half.shape[1], half.shape[3]
    pooled = turned @ half.transpose(1, 2).flatten(2)  # [B, K, K D], the target first
    out: Tensor = pooled.unflatten(2, shape).transpose(1, 2)
    return out


class _PoolEdges(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, attr: Tensor, graph: SparseGraph, s: Tensor) -> Tensor:
        ctx.graph = graph
        ctx.save_for_backward(attr, s, graph.row, graph.col)
        return pool_edges_kernel(attr, graph, s)

    @staticmethod
    @without_autocast
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        attr, s, *_ = ctx.saved_tensors
        needs = EdgeNeeds(ctx.needs_input_grad[0], ctx.needs_input_grad[2])
        if not torch.is_grad_enabled():
            found = pool_edges_backward_kernel(attr, ctx.graph, s, grad, needs)
            return found[0], None, found[1]

        def plain(attr: Tensor, s: Tensor) -> tuple[Tensor]:
            return (plain_pool_edges(attr, ctx.graph, s),)

        out_attr, out_s = plain_gradients(plain, (attr, s), needs, (grad,))
        return out_attr, None, out_s
