"""PyG's own function, to be had by changing the import."""

import torch
from torch import Tensor

from pyg_diffpool import _checks, _modes
from pyg_diffpool._padded_level import looks_at_mask, padded_level


def dense_diff_pool(
    x: Tensor,  # [B, M, C] or [M, C]
    adj: Tensor,  # [B, M, M] or [M, M]
    s: Tensor,  # [B, M, K] or [M, K]
    mask: Tensor | None = None,  # [B, M]
    normalize: bool = True,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    r"""`torch_geometric.nn.dense_diff_pool`, its four results to rounding.

    .. math::
        X' = S^{\top} X, \quad A' = S^{\top} A S, \quad
        L_{LP} = \frac{\|A - SS^\top\|_F}{B M^2}, \quad
        L_E = \frac{1}{B M} \sum_{bi} H(S_{bi})

    with :math:`S = \mathrm{softmax}(\mathtt{s})`, rows of padding set to 0 (Ying et al.
    2018, equations 3 and 4). :math:`S^\top S` takes the place of :math:`SS^\top`, so
    that no `[B, M, M]` but `adj` is needed, unless the loss nearly vanishes. As in PyG,
    both divisors count padding, so both losses shrink as padding grows; those of
    :func:`diff_pool` do not.

    Args:
        x: Node features, `[B, M, C]`.
        adj: Adjacencies, `[B, M, M]`.
        s: Assignment logits, `[B, M, K]`.
        mask: Which rows are nodes, `[B, M]`, bool or 0 and 1. (default: `None`, all)
        normalize: Whether `adj.numel()` divides the link loss. (default: `True`)

    Returns:
        :math:`X'` `[B, K, C]`, :math:`A'` `[B, K, K]`, the link prediction loss `[]`
        and the entropy loss `[]`.

    Raises:
        TypeError: If an argument is not floating-point, or dtypes differ.
        ValueError: If shapes do not fit, or there is no graph, node or cluster.

    Example:
        >>> import torch
        >>> from pyg_diffpool import dense_diff_pool
        >>> x, s, adj = torch.randn(2, 5, 8), torch.randn(2, 5, 3), torch.ones(2, 5, 5)
        >>> out, out_adj, link_loss, entropy_loss = dense_diff_pool(x, adj, s)
        >>> out.shape, out_adj.shape
        (torch.Size([2, 3, 8]), torch.Size([2, 3, 3]))
    """
    check_dense(x, adj, s, mask)
    x, adj, s = (t.unsqueeze(0) if t.dim() == 2 else t for t in (x, adj, s))
    b, m = max(t.size(0) for t in (x, adj, s)), x.size(1)
    links = b if mask is not None else max(adj.size(0), s.size(0))  # of the link loss
    pairs = (adj.numel() if normalize is True else 1) * (b / links) ** 0.5
    # Not from a list, whose way to a device no CUDA graph can hold.
    divisors = torch.full((2,), pairs, dtype=torch.double, device=x.device)
    divisors[1:].fill_(b * m)
    x, adj, s = (t.to(x.dtype).expand(b, -1, -1) for t in (x, adj, s))
    if mask is not None:
        mask = mask.view(b, m).bool()
        x = x if looks_at_mask(x, s) else torch.where(mask.unsqueeze(-1), x, 0.0)
    # As in PyG, what A has in padding counts in the link loss.
    level = padded_level(x, adj, s, mask, divisors, x.dtype, hides=False)
    return level.x, level.adj[:links], level.link_loss, level.entropy_loss


def check_dense(x: Tensor, adj: Tensor, s: Tensor, mask: Tensor | None) -> None:
    """As in PyG, one `x`, `adj` or `s` may stand for all graphs."""
    for name, value in (("x", x), ("adj", adj), ("s", s)):
        _checks.check_float(name, value, (2, 3))
    _checks.check_tensors(x=x, adj=adj, s=s, mask=mask)
    _checks.check_alike(x=x, adj=adj, s=s if mask is None else None)
    m, graphs = x.size(-2), {t.size(0) for t in (x, adj, s) if t.dim() == 3}
    fits = s.size(-2) == m and adj.shape[-2:] == (m, m)
    if not fits or len(graphs - {1}) > 1:
        what = "'x' [B, M, C], 'adj' [B, M, M] and 's' [B, M, K] of the same B and M"
        got = f"{list(x.shape)}, {list(adj.shape)} and {list(s.shape)}"
        raise _checks.wrong(ValueError, what, got)
    if s.numel() < 1:
        what, got = "at least one graph, node and cluster", f"'s' of {list(s.shape)}"
        raise _checks.wrong(ValueError, what, got)
    b = max(graphs, default=1)
    if mask is not None and mask.numel() != b * m:
        what = f"'mask' of shape [B, M] = [{b}, {m}]"
        raise _checks.wrong(ValueError, what, list(mask.shape))
    if mask is None or mask.dtype == torch.bool:
        return
    # A mask in between would scale S, which is no assignment then.
    hard, what = ((mask == 0) | (mask == 1)).all(), "'mask' of 0 and 1 only"
    if _modes.may_check_values(mask) and not bool(hard):
        hint = "Use 'mask > 0', and scale 'x' and 'adj' yourself."
        raise _checks.wrong(ValueError, what, f"{float(mask.max())}, ...", hint)
    torch._assert_async(hard, f"Expected {what}")
