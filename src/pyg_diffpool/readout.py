"""One vector for each graph, from flat or padded nodes; how many clusters are used."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from pyg_diffpool import _checks
from pyg_diffpool._graph import batch_pointer
from pyg_diffpool.output import DiffPoolOutput


def readout(
    x: Tensor,  # [N, C] or [B, M, C]
    batch: Tensor | None = None,  # [N]
    *,
    mask: Tensor | None = None,  # [B, M]
    batch_size: int | None = None,
    reduce: Literal["sum", "mean", "max"] = "max",
) -> Tensor:
    """Reduce over the real nodes of each graph; a graph without nodes gives zeros.

    Args:
        x: Node features, `[N, C]`, or padded `[B, M, C]`.
        batch: The graph of each node of flat `x`, `[N]`, ascending. (default: `None`)
        mask: Which rows of padded `x` are nodes, `[B, M]`. (default: `None`, all)
        batch_size: Number of graphs, for flat `x`. (default: `None`)
        reduce: `"sum"`, `"mean"` or `"max"`. (default: `"max"`)

    Returns:
        Graph features, `[B, C]`.

    Raises:
        TypeError: If a dtype does not fit or `batch_size` is not whole.
        ValueError: If shapes do not fit, `batch` does not ascend or `reduce` is none.

    Example:
        >>> import torch
        >>> from pyg_diffpool import readout
        >>> x = torch.tensor([[1.0], [2.0], [5.0]])
        >>> readout(x, torch.tensor([0, 0, 1]), reduce="sum").flatten()
        tensor([3., 5.])
    """
    _checks.check_choice("reduce", reduce, ("sum", "mean", "max"))
    _checks.check_float("x", x, (2, 3))
    if x.dim() == 2:
        _checks.check_unused("flat 'x'", mask=mask)
        batch_size = _checks.optional_number("batch_size", batch_size)
        _checks.check_batch(batch, batch_size, x)
        b = batch_pointer(batch, batch_size, x).numel() - 1
        batch = x.new_zeros(x.size(0), dtype=torch.long) if batch is None else batch
        # Not by segments, which torch alone cannot differentiate twice.
        return cast(Tensor, scatter(x, batch, 0, b, reduce))
    _checks.check_unused("padded 'x'", batch=batch, batch_size=batch_size)
    _checks.check_mask(mask, x)
    mask = x.new_ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    real = mask.unsqueeze(-1)
    count = real.sum(1)
    if reduce == "max":
        top = x.masked_fill(~real, torch.finfo(x.dtype).min).amax(1)
        return top.masked_fill(count == 0, 0)
    total = x.masked_fill(~real, 0).sum(1)
    return total / count.clamp(min=1) if reduce == "mean" else total


def perplexity(
    assignment: Tensor,  # [N, K] or [B, M, K]
    batch: Tensor | None = None,  # [N]
    *,
    mask: Tensor | None = None,  # [B, M]
    batch_size: int | None = None,
) -> Tensor:
    r"""The number of clusters that a graph uses, in the mean over graphs, `[]`.

    .. math::
        \frac{1}{B} \sum_b \exp\Big(-\sum_k \bar{p}_{bk} \log \bar{p}_{bk}\Big),
        \qquad \bar{p}_b = \frac{1}{n_b} \sum_{i \in b} S_i

    It is 1 where all nodes of a graph share one cluster and K where all K have equal
    shares, also if each node is spread evenly over them. Graphs without nodes and
    padding (without `mask`: rows of zeros) do not count. At least in float32.
    Arguments and errors are :func:`~pyg_diffpool.readout`'s, of an assignment for `x`.

    Example:
        >>> import torch
        >>> from pyg_diffpool.readout import perplexity
        >>> perplexity(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
        tensor(2.)
    """
    if assignment.dtype.itemsize < 4:
        assignment = assignment.float()
    total = readout(assignment, batch, mask=mask, batch_size=batch_size, reduce="sum")
    nodes = total.sum(-1, keepdim=True)
    share = total / nodes.masked_fill(nodes == 0, 1)
    used = torch.special.entr(share).sum(-1).exp()
    real = nodes.squeeze(-1) > 0
    return torch.div((used * real).sum(), real.sum().clamp(min=1))


@torch.no_grad()
def perplexities(
    levels: Sequence[DiffPoolOutput],
    batch: Tensor | None = None,  # [N]
    batch_size: int | None = None,
) -> list[Tensor]:
    """The perplexity, `[]`, of each of `DiffPoolNetOutput.levels`, without gradient."""
    if not levels:
        return []
    used = [perplexity(levels[0].assignment, batch, batch_size=batch_size)]
    return used + [perplexity(b.assignment, mask=a.mask) for a, b in pairwise(levels)]
