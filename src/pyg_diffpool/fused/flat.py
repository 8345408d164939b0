r"""A level on the sparse form.

.. math::
    D_A' = D_A - r I, \qquad D_G = r\, G, \qquad
    dw_e = (S D_A')_i \cdot S_j + r\, w_e

where :math:`D_A'` and :math:`D_G` are what the products of `ops.sparse_kernel` receive.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyg_diffpool.assignment import softmax_with_entropy
from pyg_diffpool.fused.level import Level, LossScale, link_norm, link_rate
from pyg_diffpool.fused.softmax import softmax_backward, softmax_into
from pyg_diffpool.losses import sparse_frobenius
from pyg_diffpool.ops import Pooled, SparseGraph
from pyg_diffpool.ops.gradients import Gradients, plain_gradients, without_autocast
from pyg_diffpool.ops.sparse import plain_sparse_pool, sparse_square
from pyg_diffpool.ops.sparse_kernel import (
    Needs,
    make_buffer,
    pool_backward_kernel,
    pool_buffer,
)


def fused_flat(
    x: Tensor,  # [N, C]
    graph: SparseGraph,
    logits: Tensor,  # [N, K]
    scale: LossScale,
) -> Level:
    """Pool every graph of the mini-batch by the softmax of `logits`."""
    inputs = (x, graph.weight, logits, graph, scale)
    return Level(*_FlatLevel.apply(*inputs))


def _plain(
    graph: SparseGraph,
    scale: LossScale,
    x: Tensor,
    weight: Tensor | None,
    logits: Tensor,
) -> Level:
    s, entropy = softmax_with_entropy(logits)
    pooled = plain_sparse_pool(graph, x, weight, s)
    norm = sparse_frobenius(graph, s, pooled)
    return Level(pooled.x, pooled.adj, s, *scale.divide(norm, entropy.sum()))


class _FlatLevel(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        logits: Tensor,
        graph: SparseGraph,
        scale: LossScale,
    ) -> Level:
        ctx.set_materialize_grads(False)
        buffer, s = make_buffer(x, logits.size(1), logits.dtype)
        entropy = softmax_into(s, logits)
        pooled = pool_buffer(x, graph, s, buffer)
        norm = link_norm(
            graph.square_sum, pooled.adj, pooled.gram, lambda: sparse_square(graph, s)
        )
        ctx.graph, ctx.scale = graph, scale
        edges = graph.row, graph.col  # whose change in place would be seen
        ctx.save_for_backward(x, weight, logits, s, buffer, pooled.gram, norm, *edges)
        if not any(ctx.needs_input_grad):
            s = s.clone()  # lest a kept assignment keep the whole block
        return Level(pooled.x, pooled.adj, s, *scale.divide(norm, entropy.sum()))

    @staticmethod
    @without_autocast
    def backward(ctx: Any, *grads: Tensor | None) -> Gradients:
        graph, scale, saved = ctx.graph, ctx.scale, ctx.saved_tensors[:-2]
        needs = Needs(*ctx.needs_input_grad[:3])
        if torch.is_grad_enabled():
            plain = partial(_plain, graph, scale)
            return *plain_gradients(plain, saved[:3], needs, grads), None, None
        return *_gradients(graph, scale, saved, needs, grads), None, None


def _gradients(
    graph: SparseGraph,
    scale: LossScale,
    saved: tuple[Tensor, ...],
    needs: Needs,
    grads: Gradients,
) -> Gradients:
    x, weight, _, s, buffer, gram, norm = saved
    d_x, d_adj, d_s, d_link, d_entropy = grads
    if d_x is None:
        d_x = x.new_zeros(*gram.shape[:2], x.size(1))
    rate = link_rate(norm, d_link, scale, gram.dtype)
    d_adj = torch.zeros_like(gram) if d_adj is None else d_adj.clone()
    d_adj.diagonal(dim1=1, dim2=2).sub_(rate)
    pooled = Pooled(d_x, d_adj, rate * gram)
    out_x, out_weight, out_s = pool_backward_kernel(graph, buffer, pooled, needs)
    if out_weight is not None:
        out_weight = (out_weight + rate * weight).to(weight.dtype)
    if out_s is not None:
        rate_h = scale.entropy_rate(d_entropy, s.dtype)
        out_s = softmax_backward(out_s, s, d_s, rate_h)
    return out_x, out_weight, out_s
