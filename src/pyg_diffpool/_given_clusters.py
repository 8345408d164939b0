"""Clusters given for each level (DiffPool-Det), in the form that the levels take."""

from typing import Any

import torch
from torch import Tensor

from pyg_diffpool import _checks, _modes


def given_levels(
    clusters: Tensor | None,  # [N, L]
    learned: bool,
    x: Tensor,
    batch: Tensor | None,  # [N]
    b: int,
    num_clusters: list[int],
) -> list[tuple[Any, Any, Any]]:
    """The assignment of each level, K, and which clusters have nodes, `[B, K]`.

    All are `None` where the assignment is learned.
    """
    if learned != (clusters is None):
        what = "'clusters' with 'learn_assignment=False' and only then"
        got = "none" if clusters is None else "clusters"
        raise _checks.wrong(ValueError, what, got)
    if clusters is None:
        return [(None, None, None)] * len(num_clusters)
    _checks.check_tensors(x=x, clusters=clusters)
    _checks.check_dtype("clusters", clusters, torch.long)
    wanted = x.size(0), len(num_clusters)
    _checks.check_shape("'clusters'", clusters.shape, "[N, L]", wanted)
    may_look = _modes.may_check_values(x)
    outside = (clusters < 0) | (clusters >= clusters.new_tensor(num_clusters))
    if may_look and bool(outside.any()):
        what, wrong = f"'clusters' from 0 and below {num_clusters}", clusters[outside]
        remedy = "Cluster into fewer, or give more."
        raise _checks.wrong(ValueError, what, wrong.tolist()[:9], remedy)
    if batch is None:
        batch = clusters.new_zeros(x.size(0))
    levels: list[tuple[Any, Any, Any]] = []
    for level, k in enumerate(num_clusters):
        s = column = clusters[:, level]
        if levels:
            below = (batch, clusters[:, level - 1])
            s = levels[-1][-1].long() * 0  # [B, K below]
            s[below] = column
            if may_look and not torch.equal(s[below], column):
                what = "nodes of one cluster in one cluster of the next level too"
                got = "clusters that are torn apart"
                raise _checks.wrong(ValueError, what, got, "Cluster the pooled graph.")
        exists = torch.zeros(b, k, dtype=torch.bool, device=x.device)
        exists[batch, column] = True
        levels.append((s, k, exists))
    return levels
