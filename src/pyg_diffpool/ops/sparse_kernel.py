r"""The sparse backend's two directions by hand, since they share their products.

Forward, one ragged product gives all there is. With incoming gradients
:math:`D_X, D_A, D_G`, backward:

.. math::
    dZ &= S D_X \\
    dS &= [\, Z \mid Y \mid S \,]\,[\, D_X \mid D_A \mid D_G + D_G^\top \,]^\top
          + A^\top S D_A \\
    dA_{ij} &= (S D_A)_i \cdot S_j

Where :math:`A = A^\top` the last term of :math:`dS` is :math:`Y D_A` and joins the
product.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pyg_diffpool.ops.graph import SparseGraph
from pyg_diffpool.ops.pooled import Pooled
from pyg_diffpool.ops.ragged import align, contract_kernel, expand_kernel


class Needs(NamedTuple):
    """Which gradients are asked for."""

    x: bool
    weight: bool
    s: bool


def pool_kernel(x: Tensor, graph: SparseGraph, s: Tensor) -> tuple[Pooled, Tensor]:
    """The products, and the buffer `[Z | Y | S]` that backward wants.

    Each part of the buffer is padded to the alignment of the ragged product.
    """
    buffer, own = make_buffer(x, s.size(1), s.dtype)
    own.copy_(s)
    return pool_buffer(x, graph, own, buffer), buffer


def make_buffer(x: Tensor, k: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Memory for the buffer, and for S apart, `[N, K]`, which is faster to read.

    It is one block: glibc gives the top of the heap back to the system as soon as
    twice the largest block is free there, and a pass that has to fetch it anew every
    time took up to 1.6 times as long.
    """
    (n, c), width = x.shape, align(x.size(1), dtype) + 2 * align(k, dtype)
    block = torch.empty(n * (width + k), dtype=dtype, device=x.device)
    buffer, s = block.split([n * width, n * k])
    if (c, k) != (align(c, dtype), align(k, dtype)):
        buffer.zero_()
    return buffer.view(n, width), s.view(n, k)


def pool_buffer(x: Tensor, graph: SparseGraph, s: Tensor, buffer: Tensor) -> Pooled:
    """The products; fills in the buffer."""
    c, k = x.size(1), s.size(1)
    c4, k4 = align(c, s.dtype), align(k, s.dtype)
    z, y, s4 = buffer.split([c4, k4, k4], 1)
    z[:, :c], s4[:, :k] = x, s
    if k == k4:
        s4 = s
    torch.mm(graph.matrix(s.dtype), s4, out=y)
    out = contract_kernel(s4, buffer, graph.ptr)[:, :k]
    x_, adj, gram = out.split([c4, k4, k4], 2)
    own = torch.contiguous_format  # memory, for users who reshape or change the result
    x_ = x_[..., :c].clone(memory_format=own)
    adj = adj[..., :k].clone(memory_format=own)
    return Pooled(x_, adj, gram[..., :k])


def pool_backward_kernel(
    graph: SparseGraph, buffer: Tensor, grads: Pooled, needs: Needs
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of `x`, of the edge weights and of `s`, where asked for."""
    c, k = grads.x.size(2), grads.x.size(1)
    c4, k4 = align(c, buffer.dtype), align(k, buffer.dtype)
    s4 = buffer[:, c4 + k4 :]
    blocks = _new(buffer, (c, k) == (c4, k4), grads.x.size(0), k4, buffer.size(1))
    d_x, d_y, d_s = blocks.split([c4, k4, k4], 2)
    d_x[:, :k, :c], d_y[:, :k, :k] = grads.x, grads.adj
    torch.add(grads.gram, grads.gram.transpose(1, 2), out=d_s[:, :k, :k])
    folded = graph.is_symmetric
    out_x = out_weight = out_s = back = None
    if needs.x:
        out_x = expand_kernel(s4, d_x, graph.ptr)[:, :c]
    if needs.weight or (needs.s and not folded):
        back = expand_kernel(s4, d_y, graph.ptr)
    if needs.weight and back is not None:
        out_weight = graph.edge_products(back, s4)
    if needs.s:
        if folded:
            d_y[:, :k, :k] += grads.adj.transpose(1, 2)
        out_s = expand_kernel(buffer, blocks.transpose(1, 2), graph.ptr)[:, :k]
        if not folded and back is not None:
            out_s = out_s + graph.transpose.matrix(s4.dtype) @ back[:, :k]
    return out_x, out_weight, out_s


def _new(like: Tensor, filled: bool, *shape: int) -> Tensor:
    """Memory that is about to be filled, or else zeros."""
    return like.new_empty(shape) if filled else like.new_zeros(shape)


def square_kernel(graph: SparseGraph, s: Tensor) -> Tensor:
    r""":math:`\|A - SS^\top\|_F^2` with every product in float64, `[]`."""
    s = s.double()
    trace = (s * (graph.matrix(torch.double) @ s)).sum()
    gram = contract_kernel(s, s, graph.ptr)
    return graph.square_sum.detach() - 2 * trace + gram.square().sum()


def spmm_kernel(graph: SparseGraph, x: Tensor) -> Tensor:
    """`spmm` without its gradient."""
    dtype = x.dtype
    if x.device.type == "cpu":  # which has no kernel for half precision
        dtype = torch.promote_types(dtype, torch.float)
    with torch.autocast(x.device.type, enabled=False):
        return (graph.matrix(dtype) @ x.to(dtype)).to(x.dtype)
