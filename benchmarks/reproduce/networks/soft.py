"""PyG's and torch-geometric-pool's soft clusterings on padded graphs."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, ModuleList
from torch_geometric.nn import DMoNPooling, dense_diff_pool, dense_mincut_pool
from torch_geometric.utils import to_dense_adj, to_dense_batch

from benchmarks.reproduce.graph_store import GraphBatch
from benchmarks.reproduce.networks.shape import Classifier, Shape
from benchmarks.reproduce.settings import Training
from pyg_diffpool import readout
from pyg_diffpool._extras import require_extra
from pyg_diffpool._minibatch import padded_graph
from pyg_diffpool.conv import call_gnn

Pooled = tuple[Tensor, Tensor, Tensor]  # x [B, K, C], adj [B, K, K], loss []
MakePool = Callable[[Shape, int, int], Module]


class SoftNetwork(Classifier):
    """Embed, read out and cluster at each level, as `DiffPoolNet` does."""

    def __init__(self, shape: Shape, make: MakePool) -> None:
        clusters = shape.training.clusters
        super().__init__(shape, len(clusters) + 1)
        self.embed = shape.embedders()
        widths = zip(shape.widths, clusters, strict=True)
        self.pools = ModuleList(make(shape, width, k) for width, k in widths)
        self.last = shape.gnn(shape.training.hidden)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Logits and auxiliary losses."""
        b = batch.num_graphs
        x, mask = to_dense_batch(batch.x, batch.batch, batch_size=b)
        adj = to_dense_adj(batch.edge_index, batch.batch, batch_size=b)
        present: Tensor | None = mask
        read, losses = [], []
        for embed, pool in zip(self.embed, self.pools, strict=True):
            z = _run(embed, x, adj, present)
            read.append(readout(z, mask=present))
            x, adj, loss = pool(x, z, adj, present)
            losses.append(loss)
            present = None
        read.append(readout(_run(self.last, x, adj, None)))
        return self.logits(read), torch.stack(losses).sum()


def _run(gnn: Module, x: Tensor, adj: Tensor, mask: Tensor | None) -> Tensor:
    graph = padded_graph(x, adj, mask)
    return call_gnn(gnn, x, graph)


class WithAssignment(Module):
    """A function of PyG with the assignment GNN before it."""

    def __init__(self, shape: Shape, width: int, clusters: int) -> None:
        super().__init__()
        self.assign = shape.gnn(width, clusters)
        self.training_settings: Training = shape.training

    def logits(self, x: Tensor, adj: Tensor, mask: Tensor | None) -> Tensor:
        """`[B, M, K]`."""
        return _run(self.assign, x, adj, mask)


class PyGDiffPool(WithAssignment):
    """`dense_diff_pool`."""

    def forward(self, x: Tensor, z: Tensor, adj: Tensor, mask: Tensor | None) -> Pooled:
        """Its two losses weighted as ours."""
        s = self.logits(x, adj, mask)
        x, adj, link, entropy = dense_diff_pool(z, adj, s, mask)
        weights = self.training_settings
        return x, adj, weights.link_weight * link + weights.entropy_weight * entropy


def _with_edges(adj: Tensor, mask: Tensor | None) -> Tensor:
    """A loop at each node of a graph without edges, by whose number some divide.

    Leaving out nodes in training leaves such graphs behind.
    """
    nodes = adj.new_ones(adj.shape[:2]) if mask is None else mask.to(adj.dtype)
    bare = ~adj.flatten(1).any(1)
    return adj + bare.view(-1, 1, 1) * torch.diag_embed(nodes)


class MinCut(WithAssignment):
    """`dense_mincut_pool` (Bianchi et al. 2020)."""

    def forward(self, x: Tensor, z: Tensor, adj: Tensor, mask: Tensor | None) -> Pooled:
        """Its two losses added."""
        s = self.logits(x, adj, mask)
        linked = _with_edges(adj, mask)
        x, adj, cut, orthogonality = dense_mincut_pool(z, linked, s, mask)
        return x, adj, self.training_settings.link_weight * (cut + orthogonality)


class DMoN(Module):
    """`DMoNPooling` (Tsitsulin et al. 2023), whose assignment is its own MLP."""

    def __init__(self, shape: Shape, width: int, clusters: int) -> None:  # noqa: ARG002
        super().__init__()
        self.pool = DMoNPooling(shape.training.hidden, clusters)
        self.weight = shape.training.link_weight

    def forward(
        self,
        x: Tensor,  # noqa: ARG002
        z: Tensor,
        adj: Tensor,
        mask: Tensor | None,
    ) -> Pooled:
        """Its three losses added."""
        linked = _with_edges(adj, mask)
        _, pooled, adj, *losses = self.pool(z, linked, mask)
        return pooled, adj, self.weight * torch.stack(losses).sum()


class TgpDiffPool(Module):
    """torch-geometric-pool's `diff`, assigned by a layer, losses divided as PyG's."""

    def __init__(self, shape: Shape, width: int, clusters: int) -> None:  # noqa: ARG002
        super().__init__()
        require_extra("bench")
        poolers: Any = import_module("tgp.poolers")
        hidden = shape.training.hidden
        self.pool = poolers.DiffPool(hidden, clusters, normalize_loss=True)
        self.training_settings: Training = shape.training

    def forward(
        self,
        x: Tensor,  # noqa: ARG002
        z: Tensor,
        adj: Tensor,
        mask: Tensor | None,
    ) -> Pooled:
        """Its two losses weighted as ours."""
        out = self.pool(z, adj, mask=mask)
        link, entropy = out.loss["link_loss"], out.loss["entropy_loss"]
        weights = self.training_settings
        loss = weights.link_weight * link + weights.entropy_weight * entropy
        return out.x, out.edge_index, loss
