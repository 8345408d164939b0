"""How many clusters an assignment really uses."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_diffpool.output import DiffPoolOutput
from pyg_diffpool.readout import readout


def perplexity(
    assignment: Tensor,  # [N, K] or [B, M, K]
    batch: Tensor | None = None,  # [N]
    *,
    mask: Tensor | None = None,  # [B, M]
    batch_size: int | None = None,
) -> Tensor:
    r"""The number of clusters that a graph uses, in the mean over graphs, `[]`.

    The exponential of the entropy of each graph's mean assignment:

    .. math::
        \frac{1}{B} \sum_b \exp\Big(-\sum_k \bar{p}_{bk} \log \bar{p}_{bk}\Big),
        \qquad \bar{p}_b = \frac{1}{n_b} \sum_{i \in b} S_i

    K is but an upper bound of it: it is 1 where all nodes of a graph share one cluster
    and K where all K clusters have equal shares of the nodes. Soft assignments count as
    they are, so nodes that are spread evenly over K clusters use K. Padding and
    graphs without nodes do not count.

    Args:
        assignment: `DiffPoolOutput.assignment`, `[N, K]` or `[B, M, K]`.
        batch: The graph of each node, `[N]`, ascending, for a sparse `assignment`;
            `None` is a single graph. (default: `None`)
        mask: Which rows of a padded `assignment` are nodes, `[B, M]`.
            (default: `None`, all that are not 0)
        batch_size: Number of graphs, for a sparse `assignment`. (default: `None`)

    Returns:
        A number between 1 and K, at least in float32, `[]`.

    Raises:
        TypeError: If `assignment` is not floating-point or `mask` not boolean.
        ValueError: If shapes do not fit or `batch` does not ascend.

    Example:
        >>> import torch
        >>> from pyg_diffpool.usage import perplexity
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
    out: Tensor = (used * real).sum() / real.sum().clamp(min=1)
    return out


@torch.no_grad()
def perplexities(
    levels: Sequence[DiffPoolOutput],
    batch: Tensor | None = None,  # [N]
    batch_size: int | None = None,
) -> list[Tensor]:
    """The perplexity of each level's assignment, without gradient.

    Args:
        levels: The levels of a model, from sparse input up, as in
            `DiffPoolNetOutput.levels`; at least one.
        batch: The graph of each node, `[N]`, ascending. (default: `None`)
        batch_size: Number of graphs. (default: `None`)

    Returns:
        A number for each level, `[]`.
    """
    first, *further = levels
    used = [perplexity(first.assignment, batch, batch_size=batch_size)]
    for below, level in zip(levels, further, strict=False):
        used.append(perplexity(level.assignment, mask=below.mask))
    return used
