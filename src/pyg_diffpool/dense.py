"""PyG's own function, to be had by changing the import."""

from torch import Tensor

from pyg_diffpool import losses
from pyg_diffpool.assignment import softmax_with_entropy
from pyg_diffpool.ops import padded_pool


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

    with :math:`S = \mathrm{softmax}(\mathtt{s})`, rows of padding set to 0. The link
    loss comes by the smaller of :math:`SS^\top` and :math:`S^\top S`. As in PyG, both
    divisors count padding, so both losses shrink as padding grows; :func:`diff_pool`
    does not do that.

    Args:
        x: Node features, `[B, M, C]`.
        adj: Adjacencies, `[B, M, M]`.
        s: Assignment logits, `[B, M, K]`.
        mask: Which rows are nodes, `[B, M]`. (default: `None`, all)
        normalize: Whether the link prediction loss is divided by `adj.numel()`.
            (default: `True`)

    Returns:
        :math:`X'` `[B, K, C]`, :math:`A'` `[B, K, K]`, the link prediction loss `[]`
        and the entropy loss `[]`.

    Example:
        >>> import torch
        >>> from pyg_diffpool import dense_diff_pool
        >>> x, s, adj = torch.randn(2, 5, 8), torch.randn(2, 5, 3), torch.ones(2, 5, 5)
        >>> out, out_adj, link_loss, entropy_loss = dense_diff_pool(x, adj, s)
        >>> out.shape, out_adj.shape
        (torch.Size([2, 3, 8]), torch.Size([2, 3, 3]))
    """
    x, adj, s = (t.unsqueeze(0) if t.dim() == 2 else t for t in (x, adj, s))
    b, m, _ = x.shape
    s, entropy = softmax_with_entropy(s)
    if mask is not None:
        real = mask.view(b, m, 1).to(x.dtype)
        x, s, entropy = x * real, s * real, entropy * real.squeeze(-1)
    out, out_adj = padded_pool(x, adj, s)
    link_loss = losses.padded_frobenius(adj, s, out_adj)
    if normalize:
        link_loss = link_loss / adj.numel()
    entropy_loss = entropy.mean()
    return out, out_adj, link_loss.to(s.dtype), entropy_loss.to(s.dtype)
