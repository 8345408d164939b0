r"""The losses of a level: the Frobenius norm, the cross-entropy, what divides them.

.. math:: L_{LP} = \| A - S S^\top \|_F, \qquad
    \|A - SS^\top\|_F^2 = \|A\|_F^2 - 2\,\mathrm{tr}(S^\top A S) + \|S^\top S\|_F^2

over all real pairs of nodes of the mini-batch (Ying et al. 2018, section 3.3). The
other loss, the entropy of the assignment, comes with its softmax in `_level.py`.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pyg_diffpool import _modes
from pyg_diffpool._graph import SparseGraph
from pyg_diffpool._level import CANCELLATION, Level
from pyg_diffpool._minibatch import MiniBatch

PROBABILITY_FLOOR = 1e-7
_ROW = 1024  # entries
_SAFE = 1e-15, 1e15  # float32 norms whose squares are in float32's range


def frobenius(entries: Tensor) -> Tensor:
    """The norm of all entries, `[]`, float64, without gradient.

    On a CPU by rows, or parts of a list: one norm over ten million float32 entries
    loses three of seven digits, and a float64 copy takes its memory.
    """
    if entries.dtype == torch.float and _modes.may_read_values(entries):
        if entries.dim() == 1:
            end = entries.numel() // _ROW * _ROW
            parts = torch.linalg.vector_norm(entries[:end].view(-1, _ROW), dim=-1)
            parts = torch.cat([parts, entries[end:]])
        else:
            parts = torch.linalg.vector_norm(entries, dim=-1)
        norm: Tensor = torch.linalg.vector_norm(parts, dtype=torch.double)
        if _SAFE[0] < norm.item() < _SAFE[1]:
            return norm
    norm = torch.linalg.vector_norm(entries, dtype=torch.double)
    return norm


def expanded_norm(
    adj: Tensor,  # [B, M, M], or its entries [E]
    pooled_adj: Tensor,  # [B, K, K]
    gram: Tensor,  # [B, K, K]
    exact: Callable[[], Tensor],
) -> Tensor:
    """The norm from what pooling has at hand, `[]`, float64, without gradient.

    The three terms cancel near a perfect clustering. Where less than 1/64 of their sum
    is left, or nobody may look, `exact` gives it. The gradient has rounding errors of
    the terms' size, whatever is left of them.
    """
    if not _modes.may_read_values(gram):
        return exact()
    # Numbers take less time than tensors.
    trace = pooled_adj.diagonal(dim1=-2, dim2=-1).sum(dtype=torch.double).item()
    a, g = frobenius(adj).item(), frobenius(gram).item()
    scale = a * a + g * g
    square = scale - 2 * trace
    if square < CANCELLATION * scale:
        return exact()
    return torch.tensor(math.sqrt(square), dtype=torch.double, device=gram.device)


def root(square: Tensor, resolution: Tensor | float | None = None) -> Tensor:
    """The square root; 0 with gradient 0 where there is nothing but rounding."""
    if resolution is None:
        resolution = torch.finfo(square.dtype).tiny
    is_zero = square < resolution  # NaN stays NaN
    return torch.where(is_zero, 1.0, square).sqrt().masked_fill(is_zero, 0)


def padded_bce(
    adj: Tensor,  # [B, M, M]
    s: Tensor,  # [B, M, K]
    mask: Tensor | None,  # [B, M]
) -> Tensor:
    r"""The summed binary cross-entropy of :math:`P = SS^\top` against :math:`A`, `[]`.

    The training loss of the paper's reference code, over all real pairs of nodes:
    :math:`-\sum_{ij} A_{ij} \log P_{ij} + (1 - A_{ij}) \log(1 - P_{ij})`, P and 1 - P
    kept within `[1e-7, 1 - 1e-7]`.
    """
    p = s @ s.transpose(1, 2)
    terms = adj * _log(p) + (1 - adj) * _log(1 - p)
    if mask is not None:
        terms = terms * (mask.unsqueeze(1) & mask.unsqueeze(2))
    return -terms.sum()


def sparse_bce(
    s: Tensor,  # [N, K]
    graph: SparseGraph,
) -> Tensor:
    r"""`padded_bce` estimated without bias from all edges and as many random pairs.

    .. math:: -\sum_{e} w_e \log\frac{P_e}{1 - P_e}
              - \frac{\sum_b n_b^2}{R} \sum_{r=1}^{R} \log(1 - P_r)

    The `R = max(E, N)` pairs are drawn evenly from all pairs within a graph.
    """
    linked = graph.edge_products(s, s)
    logit = _log(linked) - _log(1 - linked)
    edges = (graph.values(s.dtype) * logit).sum()
    num_draws = max(linked.size(0), s.size(0))
    left, right, num_pairs = _random_pairs(graph.ptr, num_draws)
    drawn = (s.index_select(0, left) * s.index_select(0, right)).sum(-1)
    return -edges - _log(1 - drawn).mean() * num_pairs


def _log(p: Tensor) -> Tensor:
    p = p.to(torch.promote_types(p.dtype, torch.float))
    return p.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR).log()


def _random_pairs(ptr: Tensor, num_draws: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of nodes of the same graph `[R]`, `[R]`, and how many there are, `[]`."""
    sizes = ptr.diff()
    last = (sizes * sizes).cumsum(0)
    uniform = torch.rand(num_draws, dtype=torch.double, device=ptr.device)
    pair = torch.minimum((uniform * last[-1]).long(), last[-1] - 1)
    b = torch.searchsorted(last, pair, right=True)
    within = pair - (last - sizes * sizes)[b]
    left, right = within // sizes[b], within % sizes[b]
    return ptr[b] + left, ptr[b] + right, last[-1]


def _divisors(
    counts: Tensor,  # [2], pairs of nodes within graphs, and nodes; float64
    num_graphs: int | Tensor,  # []
    largest: Tensor | None,  # [], nodes of the largest graph, for "padded"
    normalize: bool | str,
) -> Tensor:
    """By what the link loss and the entropy are divided, `[2]`, float64."""
    if largest is not None:
        nodes = num_graphs * largest.double()
        counts = torch.stack([nodes * largest, nodes])
    elif not normalize:
        counts = torch.stack([torch.ones_like(counts[0]), counts[1]])
    return counts.clamp(min=1)


class Losses:
    """What becomes of the losses of a level, of all processes' where they share."""

    def __init__(
        self,
        graph: MiniBatch,
        options: Any,  # `normalize`, `link` and `sync_losses` of `diff_pool`
        dtype: torch.dtype,  # of the features
    ) -> None:
        self.counts = graph.counts
        largest = graph.largest if options.normalize == "padded" else None
        self.rest = graph.batch_size, largest, options.normalize
        self.is_bce = options.link == "bce"
        self.dtype = torch.promote_types(dtype, torch.float)
        self.is_shared = options.sync_losses and _is_one_of_several()
        if self.is_shared:  # sums are divided
            self.divisors = torch.ones_like(self.counts)
        elif options.normalize is True and getattr(graph, "mask", None) is None:
            self.divisors = self.counts  # of at least one node
        else:
            self.divisors = _divisors(self.counts, *self.rest)

    def of(self, level: Level, bce: Callable[[], Tensor]) -> Level:
        """The level with its final losses."""
        link, entropy = level.link_loss, level.entropy_loss
        if self.is_bce:
            link = bce() / self.divisors[0]
        if self.is_shared:
            link, entropy = self._joined(link.double(), entropy.double())
        link, entropy = link.to(self.dtype), entropy.to(self.dtype)
        return level._replace(link_loss=link, entropy_loss=entropy)

    def _joined(self, link: Tensor, entropy: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the joined mini-batch of all processes; squares of norms add.

        The gradient of a sum in the value of this process is the number of processes R:
        DDP takes the mean over processes, which makes it the 1 of one process that has
        it all.
        """
        num_graphs, largest, normalize = self.rest
        own = torch.stack([link if self.is_bce else link.square(), entropy])
        local = torch.cat([own, self.counts, self.counts.new_full((1,), num_graphs)])
        total = local.detach().clone()
        dist.all_reduce(total)
        if largest is not None:
            largest = largest.detach().clone()
            dist.all_reduce(largest, dist.ReduceOp.MAX)
        total = total + dist.get_world_size() * (local - local.detach())
        link = total[0] if self.is_bce else root(total[0])
        divisors = _divisors(total[2:4], total[4], largest, normalize)
        return link / divisors[0], total[1] / divisors[1]


def _is_one_of_several() -> bool:
    """Whether other processes compute parts of the same training step.

    Without gradients, as where one process evaluates alone, nobody is waited for.
    """
    there_are = dist.is_available() and dist.is_initialized()
    return there_are and dist.get_world_size() > 1 and torch.is_grad_enabled()
