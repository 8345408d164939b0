"""The slow oracle: DiffPool one graph at a time, in float64, from its definition.

Nothing but `torch` is imported, nothing is shared with the package. Every backend,
input form and loss is held to these loops by value and, through autograd, by gradient.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Reference(NamedTuple):
    x: Tensor  # [B, K, C]
    adj: Tensor  # [B, K, K]
    mask: Tensor  # [B, K]
    assignment: Tensor  # [N, K]
    link_loss: Tensor  # []
    entropy_loss: Tensor  # []


def adjacency(edge_index: Tensor, weight: Tensor, nodes: Tensor) -> Tensor:
    """`A[i, j]`, the sum of the weights of all edges from node i to node j."""
    position = {int(node): i for i, node in enumerate(nodes)}
    entries = [[torch.zeros((), dtype=weight.dtype) for _ in nodes] for _ in nodes]
    for e in range(edge_index.size(1)):
        source, target = int(edge_index[0, e]), int(edge_index[1, e])
        if source in position:
            i, j = position[source], position[target]
            entries[i][j] = entries[i][j] + weight[e]
    if not entries:
        return weight.new_zeros(0, 0)
    return torch.stack([torch.stack(row) for row in entries])


def entropy(p: Tensor) -> Tensor:
    return -sum((q * q.log() for q in p.flatten() if q > 0), torch.zeros_like(p.sum()))


def diff_pool(
    x: Tensor,  # [N, C]
    edge_index: Tensor,  # [2, E]
    logits: Tensor,  # [N, K]
    edge_weight: Tensor | None = None,  # [E]
    batch: Tensor | None = None,  # [N]
    batch_size: int | None = None,
    num_clusters: list[int] | None = None,  # K_b of each graph
    link: str = "frobenius",
    normalize: bool | str = True,
) -> Reference:
    x, logits = x.double(), logits.double()
    n, k = logits.shape
    batch = torch.zeros(n, dtype=torch.long) if batch is None else batch
    if batch_size is None:
        batch_size = int(batch.max()) + 1
    if edge_weight is None:
        edge_weight = torch.ones(edge_index.size(1), dtype=torch.double)
    edge_weight = edge_weight.double()
    xs, adjs, masks = [], [], []
    assignment = torch.zeros(n, k, dtype=torch.double)
    squares = bce = entropies = torch.zeros((), dtype=torch.double)
    sizes = []
    for b in range(batch_size):
        nodes = (batch == b).nonzero().flatten()
        sizes.append(len(nodes))
        budget = k if num_clusters is None else num_clusters[b]
        s = torch.zeros(len(nodes), k, dtype=torch.double)
        if budget and len(nodes):
            s = torch.cat([logits[nodes, :budget].softmax(-1), s[:, budget:]], -1)
        assignment = assignment.index_put((nodes,), s)
        a = adjacency(edge_index, edge_weight, nodes)
        xs.append(s.t() @ x[nodes])
        adjs.append(s.t() @ a @ s)
        masks.append((torch.arange(k) < budget) & (len(nodes) > 0))
        residual = a - s @ s.t()
        squares = squares + residual.square().sum()
        p = (s @ s.t()).clamp(1e-7, 1 - 1e-7)
        bce = bce - (a * p.log() + (1 - a) * (1 - p).log()).sum()
        entropies = entropies + sum((entropy(row) for row in s), s.sum() * 0)
    padded_pairs = batch_size * max(sizes) ** 2
    pairs = {True: sum(m * m for m in sizes), False: 1, "padded": padded_pairs}
    rows = batch_size * max(sizes) if normalize == "padded" else sum(sizes)
    link_sum = squares.sqrt() if link == "frobenius" else bce
    return Reference(
        torch.stack(xs),
        torch.stack(adjs),
        torch.stack(masks),
        assignment,
        link_sum / max(pairs[normalize], 1),
        entropies / max(rows, 1),
    )
