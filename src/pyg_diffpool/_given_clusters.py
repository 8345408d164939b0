"""Clusters given for each level (DiffPool-Det), in the form that the levels take."""

import torch
from torch import Tensor

from pyg_diffpool import _checks, _modes


def given_levels(
    clusters: Tensor,  # [N, L]
    x: Tensor,
    batch: Tensor | None,  # [N]
    b: int,
    num_clusters: list[int],
) -> list[tuple[Tensor, int, Tensor]]:
    """The assignment of each level, K, and which clusters have nodes, `[B, K]`."""
    _checks.check_tensors(x=x, clusters=clusters)
    _checks.check_dtype("clusters", clusters, torch.long)
    wanted = x.size(0), len(num_clusters)
    _checks.check_shape("'clusters'", clusters.shape, "[N, L]", wanted)
    may_look = _modes.may_check_values(x)
    outside = (clusters < 0) | (clusters >= clusters.new_tensor(num_clusters))
    if may_look and bool(outside.any()):
        what, got = f"'clusters' from 0 and below {num_clusters}", clusters[outside]
        hint = "Cluster into fewer, or give more."
        raise _checks.wrong(ValueError, what, got.tolist()[:9], hint)
    graph = clusters.new_zeros(x.size(0)) if batch is None else batch
    levels: list[tuple[Tensor, int, Tensor]] = []
    for i, k in enumerate(num_clusters):
        s = column = clusters[:, i]
        if levels:
            below = graph, clusters[:, i - 1]
            s = clusters.new_zeros(levels[-1][-1].shape)  # [B, K below]
            s[below] = column
            if may_look and not torch.equal(s[below], column):
                what = "nodes of one cluster in one cluster of the next level too"
                hint = "Cluster the pooled graph."
                raise _checks.wrong(ValueError, what, "clusters torn apart", hint)
        exists = clusters.new_zeros(b, k, dtype=torch.bool)
        exists[graph, column] = True
        levels.append((s, k, exists))
    return levels
