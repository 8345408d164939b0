"""From assignment logits, or from given clusters, to the matrix S."""

import math
from typing import Any

import torch
from torch import Tensor

from pyg_diffpool import _checks


def cluster_mask(
    sizes: Tensor,  # [B], nodes of each graph
    k: int,
    num_clusters: int | Tensor | None,  # [B]
) -> Tensor:
    """Which clusters exist, `[B, K]`: those within the budget, none without nodes."""
    budget = (sizes > 0) * (k if num_clusters is None else num_clusters)
    return torch.arange(k, device=sizes.device) < budget.unsqueeze(-1)


def cluster_budget(
    ratio: float | None,
    num_clusters: int | None,
    sizes: Tensor,  # [B], nodes of each graph
    s: Tensor,  # [..., K] logits, or [...] int64 clusters
) -> int | Tensor | None:
    """`ceil(ratio * n_b)` clusters for each graph, at most K, `[B]`.

    Less a trifle before it is rounded up, or 0.07 of 100 nodes would be 8 clusters.
    Without a ratio, or beside given clusters, what `num_clusters` says.
    """
    if ratio is None or not s.is_floating_point():
        return num_clusters
    if num_clusters is not None:
        raise ValueError(
            f"Expected either 'ratio' or 'num_clusters' (got {ratio} and "
            f"{num_clusters}). Leave one out."
        )
    k = s.size(-1)
    return (ratio * sizes.double() - 1e-9).ceil().long().clamp(max=k)


def assign(
    s: Tensor,  # [..., K] logits, or [...] int64 clusters
    exists: Tensor | None,  # [..., K]; None is all
    k: int,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """S `[..., K]` and the entropy of each of its rows `[...]`.

    The softmax over the clusters that exist; or ones where told, without entropy.
    """
    if not s.is_floating_point():
        out = torch.zeros(*s.shape, k, dtype=dtype, device=s.device)
        return out.scatter_(-1, s.unsqueeze(-1), 1), out.new_zeros(s.shape)
    return softmax_with_entropy(mask_logits(s, exists, dtype))


def mask_logits(s: Tensor, exists: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Logits in `dtype`, minus infinity for clusters that do not exist."""
    s = s.to(dtype)
    return s if exists is None else s.masked_fill(~exists, float("-inf"))


def softmax_with_entropy(
    logits: Tensor,  # [..., K]
) -> tuple[Tensor, Tensor]:
    r""":math:`P`, the softmax, `[..., K]`, and :math:`-\sum_k P_k \log P_k`, `[...]`.

    Together they cost little more than the softmax. A probability of 0 adds 0 and has
    a finite gradient. In half precision the entropy is computed in float32.
    """
    wide = torch.promote_types(logits.dtype, torch.float)
    p, entropy = _SoftmaxEntropy.apply(logits.to(wide))
    return p.to(logits.dtype), entropy


def softmax_kernel(
    logits: Tensor,  # [..., K]
    out: Tensor | None = None,  # [..., K]
) -> tuple[Tensor, Tensor]:
    """The softmax P `[..., K]`, in `out` if given, and each row's entropy `[...]`.

    The logarithm is kept finite, since 0 * -inf is no number.
    """
    log_p = logits.log_softmax(-1)
    p = torch.exp(log_p, out=out)
    log_p.clamp_(min=math.log(torch.finfo(p.dtype).tiny))
    return p, -torch.linalg.vecdot(p, log_p)


def finite_log(p: Tensor) -> Tensor:
    """The logarithm of probabilities, as if none were below the normal numbers."""
    return p.clamp_min(torch.finfo(p.dtype).tiny).log()


class _SoftmaxEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> tuple[Tensor, Tensor]:
        p, entropy = softmax_kernel(logits)
        ctx.save_for_backward(p)
        return p, entropy

    @staticmethod
    def backward(ctx: Any, grad_p: Tensor, grad_entropy: Tensor) -> Tensor:
        (p,) = ctx.saved_tensors
        log_p = finite_log(p)
        # The softmax does not see what its gradients share, hence no `+ 1`.
        grad = grad_p - grad_entropy.unsqueeze(-1) * log_p
        out: Tensor = p * (grad - torch.linalg.vecdot(p, grad).unsqueeze(-1))
        return out


def num_columns(
    s: Tensor,  # [..., K] logits, or [...] int64 clusters
    num_clusters: int | Tensor | None,  # [B]
    sizes: Tensor,  # [B], nodes of each graph
    visible: bool,
) -> int:
    """K, checked against the budgets and the clusters given.

    For integer `s` without an `int` beside it, K is read back from the device.
    """
    budget = num_clusters
    if not isinstance(budget, Tensor):
        _checks.check_integer("num_clusters", budget)
    elif budget.dtype not in (torch.int32, torch.int64):
        raise TypeError(
            f"Expected 'num_clusters' to be torch.int64 (got {budget.dtype})."
        )
    if isinstance(budget, Tensor) and budget.shape != sizes.shape:
        raise ValueError(
            f"Expected 'num_clusters' of shape [B] = {list(sizes.shape)} (got "
            f"{list(budget.shape)})."
        )
    if not s.is_floating_point():
        return _num_given_clusters(s, budget, visible)
    k = s.size(-1)
    if k < 1:
        raise ValueError(f"Expected K >= 1 clusters (got 's' of {list(s.shape)}).")
    if isinstance(budget, Tensor):
        wanted = budget[sizes > 0].tolist() if visible else []
    else:
        wanted = [] if budget is None else [budget]
    if wanted and not 1 <= min(wanted) <= max(wanted) <= k:
        raise ValueError(
            f"Expected 'num_clusters' between 1 and K = {k}, the columns of 's' (got "
            f"{min(wanted)} to {max(wanted)})."
        )
    return k


def _num_given_clusters(s: Tensor, budget: int | Tensor | None, visible: bool) -> int:
    if isinstance(budget, Tensor):
        raise TypeError(
            "Expected 'num_clusters' to be an int beside integer 's' (got a tensor): "
            "given clusters need no budget for each graph."
        )
    k = int(s.max()) + 1 if budget is None else budget
    if visible and not 0 <= int(s.min()) <= int(s.max()) < k:
        raise ValueError(
            f"Expected clusters in an integer 's' between 0 and K - 1 = {k - 1} (got "
            f"{int(s.min())} to {int(s.max())})."
        )
    return k
