"""One vector for each graph, from flat or from padded nodes."""

from typing import Literal

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from pyg_diffpool import _checks
from pyg_diffpool.padding import batch_pointer

Reduce = Literal["sum", "mean", "max"]


def readout(
    x: Tensor,  # [N, C] or [B, M, C]
    batch: Tensor | None = None,  # [N]
    *,
    mask: Tensor | None = None,  # [B, M]
    batch_size: int | None = None,
    reduce: Reduce = "max",
) -> Tensor:
    """Reduce over the real nodes of each graph; a graph without nodes gives zeros.

    Args:
        x: Node features, `[N, C]`, or padded `[B, M, C]`.
        batch: The graph of each node, `[N]`, ascending, for flat `x`; `None` is a
            single graph. (default: `None`)
        mask: Which rows of padded `x` are nodes, `[B, M]`. (default: `None`, all)
        batch_size: Number of graphs, for flat `x`. (default: `None`)
        reduce: `"sum"`, `"mean"` or `"max"`. (default: `"max"`)

    Returns:
        Graph features, `[B, C]`.

    Raises:
        TypeError: If `x` is not floating-point or `mask` not boolean.
        ValueError: If shapes do not fit, `batch` does not ascend or `reduce` is none
            of the three.

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
        visible = _checks.values_visible(x, check=False)
        _checks.check_same_device(x=x, batch=batch)
        _checks.check_batch(batch, batch_size, x.size(0), visible)
        b = batch_pointer(batch, batch_size, x).numel() - 1
        if batch is None:
            batch = torch.zeros(x.size(0), dtype=torch.long, device=x.device)
        # Not by segments, which torch alone cannot differentiate twice.
        flat: Tensor = scatter(x, batch, 0, b, reduce)
        return flat
    _checks.check_unused("padded 'x'", batch=batch, batch_size=batch_size)
    _checks.check_same_device(x=x, mask=mask)
    _checks.check_mask(mask, x.size(0), x.size(1))
    if mask is None:
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    real = mask.unsqueeze(-1)
    count = real.sum(1)
    if reduce == "max":
        top = x.masked_fill(~real, torch.finfo(x.dtype).min).amax(1)
        return top.masked_fill(count == 0, 0)
    total = x.masked_fill(~real, 0).sum(1)
    return total / count.clamp(min=1) if reduce == "mean" else total
