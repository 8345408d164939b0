r"""Assignment, sparse pooling and both losses as one node of the autograd graph.

The same results as `softmax_with_entropy`, `sparse_pool` and `sparse_frobenius` one
after the other. On mini-batches of small graphs those spend most of their time between
the products; here forward and backward are written out by hand around them. With
:math:`L = \|A - SS^\top\|_F` and incoming gradients :math:`D_A, d_L, d_H`,

.. math::
    D_A' = D_A - \frac{d_L}{L} I, \qquad
    D_G = \frac{d_L}{L} G, \qquad
    dw_e = (S D_A')_i \cdot S_j + \frac{d_L}{L} w_e

and the logits receive the gradient of S less :math:`d_H \log S`, through the softmax.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_diffpool.assignment import softmax_kernel, softmax_with_entropy
from pyg_diffpool.losses import sparse_frobenius
from pyg_diffpool.ops import Pooled, SparseGraph
from pyg_diffpool.ops.sparse import differentiable_gradients, plain_sparse_pool
from pyg_diffpool.ops.sparse_kernel import Needs, pool_backward_kernel, pool_kernel


class Fused(NamedTuple):
    """All that a level of DiffPool computes."""

    x: Tensor  # [B, K, C]
    adj: Tensor  # [B, K, K]
    s: Tensor  # [N, K]
    link_norm: Tensor  # [], float64
    entropy: Tensor  # [], summed over the nodes


def fused_pool(x: Tensor, graph: SparseGraph, logits: Tensor) -> Fused:
    """Pool every graph of the mini-batch by the softmax of `logits`."""
    out = _FusedPool.apply(x, graph, graph.weight, logits)  # type: ignore[no-untyped-call]
    return Fused(*out)


def _plain(
    x: Tensor, graph: SparseGraph, weight: Tensor | None, logits: Tensor
) -> Fused:
    """The same, of operations with gradients of their own."""
    s, entropy = softmax_with_entropy(logits)
    pooled = plain_sparse_pool(x, graph, weight, s)
    link_norm = sparse_frobenius(graph, s, pooled)
    return Fused(pooled.x, pooled.adj, s, link_norm, entropy.sum())


class _FusedPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, graph: SparseGraph, weight: Tensor | None, logits: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        s, log_s, entropy = softmax_kernel(logits)
        pooled, buffer = pool_kernel(x, graph, s)
        norm = sparse_frobenius(graph, s, pooled)
        ctx.graph = graph
        ctx.save_for_backward(x, weight, logits, s, log_s, buffer, pooled.gram, norm)
        return pooled.x, pooled.adj, s, norm, entropy.sum()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        needs = Needs(*(ctx.needs_input_grad[i] for i in (0, 2, 3)))
        if torch.is_grad_enabled():
            inputs = ctx.saved_tensors[:3]
            found = differentiable_gradients(_plain, ctx.graph, inputs, needs, grads)
        else:
            found = _gradients(ctx.graph, ctx.saved_tensors, needs, grads)
        return found[0], None, *found[1:]


def _gradients(
    graph: SparseGraph,
    saved: tuple[Tensor, ...],
    needs: Needs,
    grads: tuple[Tensor | None, ...],
) -> tuple[Tensor | None, ...]:
    x, weight, _, s, log_s, buffer, gram, norm = saved
    d_x, d_adj, d_s, d_norm, d_entropy = grads
    if d_x is None:
        d_x = x.new_zeros(*gram.shape[:2], x.size(1))
    d_adj = torch.zeros_like(gram) if d_adj is None else d_adj
    d_norm = torch.zeros_like(norm) if d_norm is None else d_norm
    rate = torch.where(norm > 0, d_norm / norm, 0).to(gram.dtype)
    d_adj = d_adj.clone()
    d_adj.diagonal(dim1=1, dim2=2).sub_(rate)
    pooled = Pooled(d_x, d_adj, rate * gram)
    out_x, out_weight, out_s = pool_backward_kernel(graph, buffer, pooled, needs)
    if out_weight is not None:
        out_weight = (out_weight + rate * weight).to(weight.dtype)
    if out_s is not None:
        if d_s is not None:
            out_s += d_s
        if d_entropy is not None:
            out_s.addcmul_(d_entropy, log_s, value=-1)
        out_s = torch._softmax_backward_data(out_s, s, -1, s.dtype)
    return out_x, out_weight, out_s
