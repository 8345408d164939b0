r"""The link prediction loss of DiffPool, blind to padding.

.. math:: L_{LP} = \| A - S S^\top \|_F

over all real pairs of nodes of the mini-batch (paper, section 3.3), or the binary
cross-entropy of the paper's reference code. The other auxiliary loss, the entropy of
the assignment, comes with its softmax in `assignment.py`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyg_diffpool.ops import Pooled, SparseGraph, device, sparse_square

CANCELLATION = 2.0**-6
RESOLUTION = 8 * torch.finfo(torch.double).eps
PROBABILITY_FLOOR = 1e-7


def sparse_frobenius(graph: SparseGraph, s: Tensor, pooled: Pooled) -> Tensor:
    r""":math:`\|A - SS^\top\|_F` without a matrix of that shape, `[]`, float64."""
    diagonal, gram = trace(pooled.adj), pooled.gram
    return expanded(graph.square_sum, diagonal, gram, lambda: sparse_square(graph, s))


def padded_frobenius(
    adj: Tensor,  # [B, M, M]
    s: Tensor,  # [B, M, K]
    pooled_adj: Tensor,  # [B, K, K]
) -> Tensor:
    r""":math:`\|A - SS^\top\|_F` of dense blocks by the smaller matrix, `[]`, float64.

    By :math:`SS^\top` where K >= M, else by :math:`S^\top S`, with nothing of shape
    `[B, M, M]` besides A.
    """
    turned = s.transpose(1, 2)
    if s.size(2) >= s.size(1):
        return root(square_sum(adj - s @ turned))

    def exact() -> Tensor:
        return square_sum((adj - s @ turned).detach())

    diagonal, gram = trace(pooled_adj), turned @ s
    return expanded(square_sum(adj), diagonal, gram, exact)


def expanded(
    adj_square: Tensor,  # [], float64
    trace: Tensor,  # [], float64
    gram: Tensor,  # [B, K, K]
    exact: Callable[[], Tensor],
) -> Tensor:
    r"""The norm from what pooling has at hand.

    .. math:: \|A - SS^\top\|_F^2
        = \|A\|_F^2 - 2\,\mathrm{tr}(S^\top A S) + \|S^\top S\|_F^2

    The three terms cancel near a perfect clustering. Where less than 1/64 of their sum
    is left (on a GPU, where looking would wait for the device, always) `exact` gives
    the value anew, without gradient; the gradient suffers no such loss.
    """
    gram_square = square_sum(gram)
    square = adj_square - 2 * trace + gram_square
    scale = (adj_square + gram_square).detach()
    if gram.dtype != torch.double and (
        not device.is_readable(gram) or bool(square < CANCELLATION * scale)
    ):
        square = square + (exact() - square).detach()
    return root(square, RESOLUTION * scale)


def root(square: Tensor, resolution: Tensor | float = 0.0) -> Tensor:
    """The square root; 0 with gradient 0 where there is nothing but rounding."""
    positive = ~(square <= resolution)  # so that NaN stays NaN
    root: Tensor = torch.where(positive, square, 1.0).sqrt() * positive
    return root


def trace(adj: Tensor) -> Tensor:
    """Of all blocks together, `[]`, float64."""
    return adj.diagonal(dim1=1, dim2=2).sum(dtype=torch.double)


def square_sum(adj: Tensor) -> Tensor:
    r""":math:`\|A\|_F^2` of dense blocks, `[]`, float64.

    By rows, whose norms lose no digits in float32; a norm over all entries loses three
    of seven at ten million, and squares or float64 copies of all take their memory.
    """
    out: Tensor = _SquareSum.apply(adj)
    return out


def norm_of(adj: Tensor) -> Tensor:
    """The root of `square_sum`, without a gradient of its own, `[]`, float64."""
    rows = torch.linalg.vector_norm(adj, dim=-1)
    out: Tensor = torch.linalg.vector_norm(rows, dtype=torch.double)
    return out


class _SquareSum(torch.autograd.Function):
    """With a gradient of its own, since that of a norm is not smooth at rows of 0."""

    @staticmethod
    def forward(ctx: Any, adj: Tensor) -> Tensor:
        ctx.save_for_backward(adj)
        return norm_of(adj).square()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (adj,) = ctx.saved_tensors
        out: Tensor = 2 * grad.to(adj.dtype) * adj
        return out


def padded_bce(adj: Tensor, s: Tensor, mask: Tensor | None) -> Tensor:
    r"""The summed binary cross-entropy of :math:`SS^\top` against :math:`A`, `[]`.

    The training loss of the paper's reference code, over all real pairs of nodes:
    :math:`-\sum_{ij} A_{ij} \log P_{ij} + (1 - A_{ij}) \log(1 - P_{ij})` where
    :math:`P = SS^\top`, kept within `[1e-7, 1 - 1e-7]`.
    """
    p = _probability(s @ s.transpose(1, 2))
    terms = adj * p.log() + (1 - adj) * (1 - p).log()
    if mask is not None:
        terms = terms * (mask.unsqueeze(1) & mask.unsqueeze(2))
    return -terms.sum()


def sparse_bce(graph: SparseGraph, s: Tensor) -> Tensor:
    r"""`padded_bce` estimated without bias from all edges and as many random pairs.

    .. math:: -\sum_{e} w_e \log\frac{P_e}{1 - P_e}
              - \frac{\sum_b n_b^2}{R} \sum_{r=1}^{R} \log(1 - P_r)

    The `R = max(E, N)` pairs are drawn evenly from all pairs within a graph.
    """
    p = _probability(graph.edge_products(s, s))
    logit = p.log() - (1 - p).log()
    linked = logit.sum() if graph.weight is None else (graph.weight * logit).sum()
    left, right, num_pairs = _random_pairs(graph)
    q = _probability((s[left] * s[right]).sum(-1))
    return -linked - (1 - q).log().mean() * num_pairs


def _probability(p: Tensor) -> Tensor:
    p = p.float() if p.dtype.itemsize < 4 else p
    return p.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)


def _random_pairs(graph: SparseGraph) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of nodes of the same graph `[R]`, `[R]`, and how many there are, `[]`."""
    sizes = graph.ptr[1:] - graph.ptr[:-1]
    last = (sizes * sizes).cumsum(0)
    num_draws = max(graph.row.numel(), graph.num_nodes)
    uniform = torch.rand(num_draws, dtype=torch.double, device=last.device)
    pair = (uniform * last[-1]).long().clamp(max=last[-1] - 1)
    b = torch.searchsorted(last, pair, right=True)
    within = pair - (last - sizes * sizes)[b]
    left, right = within // sizes[b], within % sizes[b]
    return graph.ptr[b] + left, graph.ptr[b] + right, last[-1]
