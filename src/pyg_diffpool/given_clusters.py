"""Clusters given for each level, in the form that the levels take."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_diffpool import _checks


class GivenLevel(NamedTuple):
    """What one level is told; nothing where it learns."""

    s: Tensor | None = None  # [N], or [B, K of the level before] further on, int64
    num_clusters: int | None = None
    exists: Tensor | None = None  # [B, K], the clusters that have nodes


def given_levels(
    clusters: Tensor | None,  # [N, L]
    learned: bool,
    batch: Tensor | None,  # [N]
    batch_size: int,
    num_clusters: Sequence[int],
) -> list[GivenLevel]:
    """From the cluster of each node at each of L levels to each level's assignment.

    Args:
        clusters: The cluster of each node at each level, int64, `[N, L]`. Nodes
            together at one level stay together at the next.
        learned: Whether levels learn their assignment: then nothing is given.
        batch: The graph of each node, `[N]`; `None` is a single graph.
        batch_size: Number of graphs.
        num_clusters: K of each of the L levels.

    Returns:
        One entry for each level.

    Raises:
        TypeError: If `clusters` is not int64.
        ValueError: If its shape is wrong, a cluster is out of range, or clusters of
            one level are torn apart at the next; or if there are clusters for levels
            that learn, or none for others.
    """
    if (clusters is None) != learned:
        raise ValueError(
            "Expected 'clusters' with 'learn_assignment=False' and only then (got "
            f"{'none' if clusters is None else 'clusters'})."
        )
    if clusters is None:
        return [GivenLevel()] * len(num_clusters)
    if batch is None:
        batch = torch.zeros(clusters.size(0), dtype=torch.long, device=clusters.device)
    _check(clusters, batch.numel(), num_clusters)
    levels: list[GivenLevel] = []
    s, exists = clusters[:, :1].squeeze(-1), None
    for level, k in enumerate(num_clusters):
        column = clusters[:, level]
        if exists is not None:
            s = _further(exists, clusters[:, level - 1], column, batch)
        exists = torch.zeros(batch_size, k, dtype=torch.bool, device=batch.device)
        exists[batch, column] = True
        levels.append(GivenLevel(s, k, exists))
    return levels


def _further(
    exists: Tensor,  # [B, K of the level before]
    before: Tensor,  # [N]
    column: Tensor,  # [N]
    batch: Tensor,  # [N]
) -> Tensor:
    """The cluster of each cluster of the level before, `[B, K of that level]`."""
    s = torch.zeros_like(exists, dtype=torch.long)
    s[batch, before] = column
    visible = _checks.values_visible(column, check=False)
    if visible and not torch.equal(s[batch, before], column):
        raise ValueError(
            "Expected nodes of one cluster in one cluster of the next level too (got "
            "clusters that are torn apart). Cluster the pooled graph."
        )
    return s


def _check(clusters: Tensor, num_nodes: int, num_clusters: Sequence[int]) -> None:
    if clusters.dtype != torch.long:
        raise TypeError(f"Expected 'clusters' as int64 (got {clusters.dtype}).")
    if clusters.shape != (num_nodes, len(num_clusters)):
        raise ValueError(
            f"Expected 'clusters' of shape [N, L] = [{num_nodes}, {len(num_clusters)}],"
            f" a column for each level (got {list(clusters.shape)})."
        )
    if not (num_nodes and _checks.values_visible(clusters, check=False)):
        return
    highest = clusters.amax(0).tolist()
    if int(clusters.min()) < 0 or any(
        c >= k for c, k in zip(highest, num_clusters, strict=True)
    ):
        raise ValueError(
            f"Expected 'clusters' from 0 and below {list(num_clusters)} (got up to "
            f"{highest}, at least {int(clusters.min())}). Cluster into fewer, or give "
            "the network more."
        )
