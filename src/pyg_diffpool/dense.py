"""PyG's own function, to be had by changing the import."""

from torch import Tensor

from pyg_diffpool import _checks
from pyg_diffpool.fused import LossScale
from pyg_diffpool.levels import padded_level


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
    2018, equations 3 and 4). Where K < M, :math:`S^\top S` takes the place of
    :math:`SS^\top`, so that no `[B, M, M]` but `adj` is needed, unless the loss nearly
    vanishes. As in PyG, both divisors count padding, so both losses shrink as padding
    grows; those of :func:`diff_pool` do not.

    Args:
        x: Node features, `[B, M, C]`.
        adj: Adjacencies, `[B, M, M]`.
        s: Assignment logits, `[B, M, K]`.
        mask: Which rows are nodes, `[B, M]`, boolean or 0 and 1. (default: `None`,
            all)
        normalize: Whether the link prediction loss is divided by `adj.numel()`.
            (default: `True`)

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
    _checks.check_dense(x, adj, s, mask)
    x, adj, s = (t.unsqueeze(0) if t.dim() == 2 else t for t in (x, adj, s))
    b, m, _ = x.shape
    if mask is not None:
        mask = mask.view(b, m).bool()
        x = x * mask.unsqueeze(-1)
    scale = LossScale(adj.numel() if normalize else 1, b * m, x.dtype)
    adj, k = adj.expand(b, m, m), s.size(-1)
    level = padded_level(x, adj, mask, s, None, k, "frobenius", scale)
    return level.x, level.adj, level.link_loss, level.entropy
