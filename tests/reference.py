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
    edge_attr: Tensor | None = None  # [B, K, K, D]


def adjacency(edge_index: Tensor, weight: Tensor, nodes: Tensor) -> Tensor:
    """`A[i, j]`, the sum of the weights of all edges from node i to node j."""
    position = {int(node): i for i, node in enumerate(nodes)}
    a = torch.zeros(len(nodes), len(nodes), dtype=weight.dtype)
    for e, (source, target) in enumerate(edge_index.t().tolist()):
        if source in position:
            at = torch.tensor([position[source]]), torch.tensor([position[target]])
            a = a.index_put(at, weight[e : e + 1], accumulate=True)
    return a


def normalized(a: Tensor) -> Tensor:
    """No diagonal; each entry over the roots of the degrees of both its ends."""
    k = len(a)
    rows = []
    for i in range(k):
        row = []
        for j in range(k):
            out = sum((a[i, m].abs() for m in range(k) if m != i), torch.tensor(0.0))
            into = sum((a[m, j].abs() for m in range(k) if m != j), torch.tensor(0.0))
            is_edge = i != j and out > 0 and into > 0
            row.append(a[i, j] / (out * into).sqrt() if is_edge else 0 * a[i, j])
        rows.append(torch.stack(row))
    return torch.stack(rows)


def edge_features(
    edge_index: Tensor, attr: Tensor, weight: Tensor | None, s: Tensor, nodes: Tensor
) -> Tensor:
    """The sum of `S[i, k] S[j, l] attr[e]` over edges e, or with weights their mean."""
    position = {int(node): i for i, node in enumerate(nodes)}
    k = s.size(1)
    total = torch.zeros(k, k, attr.size(1), dtype=attr.dtype)
    weights = torch.zeros(k, k, dtype=attr.dtype)
    for e, (source, target) in enumerate(edge_index.t().tolist()):
        if source in position:
            shares = torch.outer(s[position[source]], s[position[target]])
            if weight is not None:
                shares = weight[e] * shares
            total = total + shares.unsqueeze(-1) * attr[e]
            weights = weights + shares
    if weight is None:
        return total
    linked = weights > 0
    mean = total / torch.where(linked, weights, 1.0).unsqueeze(-1)
    return torch.where(linked.unsqueeze(-1), mean, 0.0)


def entropy(p: Tensor) -> Tensor:
    p = p[p > 0]
    return -(p * p.log()).sum()


class Regularizers(NamedTuple):
    orthogonality_loss: Tensor  # []
    collapse_loss: Tensor  # []
    balance_loss: Tensor  # []


def regularizers(
    out: Reference,
    batch: Tensor,  # [N]
) -> Regularizers:
    """Means over the graphs that have nodes and clusters, each by its definition."""
    parts = []
    for b, exists in enumerate(out.mask):
        s, k = out.assignment[batch == b][:, exists], int(exists.sum())
        if k == 0:
            continue
        gram = s.t() @ s
        apart = gram / gram.norm() - torch.eye(k, dtype=s.dtype) / k**0.5
        collapse = k**0.5 / len(s) * s.sum(0).norm() - 1
        balance = torch.tensor(k, dtype=s.dtype).log() - entropy(s.mean(0))
        parts.append(torch.stack([apart.norm(), collapse, balance]))
    return Regularizers(*torch.stack(parts).mean(0))


def diff_pool(
    x: Tensor,  # [N, C]
    adj: Tensor,  # the edges, [2, E]
    s: Tensor,  # the logits, [N, K]
    edge_weight: Tensor | None = None,  # [E]
    batch: Tensor | None = None,  # [N]
    batch_size: int | None = None,
    num_clusters: Tensor | list[int] | None = None,  # K_b of each graph
    link: str = "frobenius",
    normalize: bool | str = True,
    edge_attr: Tensor | None = None,  # [E, D]
    edge_reduce: str = "sum",
    pooled_adj: str = "raw",
) -> Reference:
    x, edge_index, logits = x.double(), adj, s.double()
    n, k = logits.shape
    batch = torch.zeros(n, dtype=torch.long) if batch is None else batch
    if batch_size is None:
        batch_size = int(batch.max()) + 1
    if edge_weight is None:
        edge_weight = torch.ones(edge_index.size(1), dtype=torch.double)
    edge_weight = edge_weight.double()
    xs, adjs, masks, attrs = [], [], [], []
    assignment = torch.zeros(n, k, dtype=torch.double)
    squares = bce = entropies = torch.zeros((), dtype=torch.double)
    sizes = []
    for b in range(batch_size):
        nodes = (batch == b).nonzero().flatten()
        sizes.append(len(nodes))
        budget = k if num_clusters is None else int(num_clusters[b])
        s = torch.zeros(len(nodes), k, dtype=torch.double)
        if budget and len(nodes):
            s = torch.cat([logits[nodes, :budget].softmax(-1), s[:, budget:]], -1)
        assignment = assignment.index_put((nodes,), s)
        a = adjacency(edge_index, edge_weight, nodes)
        xs.append(s.t() @ x[nodes])
        pooled = s.t() @ a @ s
        adjs.append(normalized(pooled) if pooled_adj == "normalized" else pooled)
        if edge_attr is not None:
            by = edge_weight if edge_reduce == "mean" else None
            attrs.append(edge_features(edge_index, edge_attr.double(), by, s, nodes))
        masks.append((torch.arange(k) < budget) & (len(nodes) > 0))
        residual = a - s @ s.t()
        squares = squares + residual.square().sum()
        p = (s @ s.t()).clamp(1e-7, 1 - 1e-7)
        bce = bce - (a * p.log() + (1 - a) * (1 - p).log()).sum()
        entropies = entropies + entropy(s)
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
        torch.stack(attrs) if attrs else None,
    )
