"""The methods: the same embedding layers and classifier, another pooling between.

Networks are called as `DiffPoolNet` is, and made of the parts of one.
"""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Module, ModuleList, ReLU, Sequential
from torch_geometric.nn import (
    MLP,
    ASAPooling,
    DMoNPooling,
    EdgePooling,
    SAGPooling,
    SortAggregation,
    TopKPooling,
    dense_diff_pool,
    dense_mincut_pool,
)
from torch_geometric.nn.aggr import MaxAggregation, Set2Set, SumAggregation
from torch_geometric.utils import to_dense_adj, to_dense_batch

from benchmarks.reproduce.settings import Training
from pyg_diffpool import DiffPoolNet, DiffPoolNetOutput, DiffPoolOutput, readout
from pyg_diffpool._extras import require_extra
from pyg_diffpool._minibatch import padded_graph
from pyg_diffpool.conv import call_gnn
from pyg_diffpool.models import NodeBatchNorm

Methods = Mapping[str, tuple[Callable[..., Module], Mapping[str, Any]]]
"""What is made of a `DiffPoolNet`, and options that it has for that."""


def make_network(
    method: str,
    in_channels: int,
    out_channels: int,
    own: Training,
    mean_nodes: float,
    methods: Methods,
) -> Module:
    """The network of a method, for graphs of about so many nodes."""
    change, options = methods[method]
    common = {
        "num_layers": own.layers,
        "link_weight": own.link_weight,
        "entropy_weight": own.entropy_weight,
        "balance_weight": 0.0,
        "pooled_adj": "raw",
    }
    net = DiffPoolNet(
        in_channels,
        own.hidden,
        out_channels,
        own.clusters,
        dropout=own.dropout,
        **{**common, **options},
    )
    return change(net, own, mean_nodes)


def without_losses(out: Tensor) -> DiffPoolNetOutput:
    """Logits of a network that has no auxiliary loss."""
    zero = out.new_zeros(())
    return DiffPoolNetOutput(out, zero, zero, zero, ())


def itself(net: DiffPoolNet, *_: Any) -> Module:
    """This package."""
    return net


class Flat(Module):
    """Embed all nodes, read them out, classify: no pooling between."""

    def __init__(
        self, net: DiffPoolNet, own: Training, read: Module, wider: int = 1
    ) -> None:
        super().__init__()
        level: Any = net.pools[0]
        self.encoder, self.embed, self.read = net.encoder, level.embed, read
        channels = [wider * own.hidden, own.hidden, net.mlp.out_channels]
        self.classify = MLP(channels, norm=None, dropout=own.dropout)

    def forward(
        self, x: Tensor, edge_index: Tensor, _: Any, batch: Tensor, batch_size: int
    ) -> DiffPoolNetOutput:
        z = self.embed(x if self.encoder is None else self.encoder(x), edge_index)
        return without_losses(self.classify(self.read(z, batch, dim_size=batch_size)))


class Then(Module):
    """An aggregation, and a layer on what it gives."""

    def __init__(self, read: Module, *layers: Module) -> None:
        super().__init__()
        self.read, self.layers = read, Sequential(*layers)

    def forward(self, z: Tensor, batch: Tensor, dim_size: int) -> Tensor:
        """`[B, hidden]`."""
        out: Tensor = self.layers(self.read(z, batch, dim_size=dim_size))
        return out


def sort_pool(hidden: int) -> Module:
    """The 30 nodes first in order (Zhang et al. 2018), mapped."""
    return Then(SortAggregation(k=30), Linear(30 * hidden, hidden), ReLU())


def deep_sets(net: DiffPoolNet, own: Training, _: float) -> Module:
    """Two layers on each node and the sum over all: edges are not looked at.

    The sum grows with the graph; normalised it has the scale of the others' readouts.
    Without that DD is not learned in as few epochs.
    """
    flat = Flat(net, own, Then(SumAggregation(), NodeBatchNorm(own.hidden)))
    widths = [net.width, own.hidden, own.hidden]
    flat.embed = MLP(widths, norm=None, plain_last=False)
    return flat


class Selection(Module):
    """Embed, read out and select at each level; embed and read out what is left.

    A level keeps what leaves K nodes of an average graph; `EdgePooling` halves. ASAP's
    edge weights are dropped, since the embedding layers of the flat graph have none.
    """

    def __init__(
        self, net: DiffPoolNet, own: Training, nodes: float, layer: Callable[..., Any]
    ) -> None:
        super().__init__()
        levels: list[Any] = [*net.pools]
        self.embed = ModuleList([*(level.embed for level in levels), net.last])
        self.pools = ModuleList()
        for k in own.clusters:
            ratio = {} if layer is EdgePooling else {"ratio": min(1.0, k / nodes)}
            self.pools.append(layer(own.hidden, **ratio))
            nodes = k
        self.classify = net.mlp

    def forward(
        self, x: Tensor, edge_index: Tensor, _: Any, batch: Tensor, batch_size: int
    ) -> DiffPoolNetOutput:
        read = []
        for embed, pool in zip(self.embed, [*self.pools, None], strict=True):
            x = embed(x, edge_index)
            read.append(readout(x, batch, batch_size=batch_size))
            if isinstance(pool, EdgePooling):  # which does not keep the order of graphs
                x, edge_index, batch, _ = pool(x, edge_index, batch)
                order = batch.argsort(stable=True)
                x, batch = x[order], batch[order]
                edge_index = order.argsort()[edge_index]
            elif pool is not None:
                x, edge_index, _, batch = pool(x, edge_index, batch=batch)[:4]
        return without_losses(self.classify(torch.cat(read, -1)))


class NormalLogits(Module):
    """Standard normal logits: anew in each training pass, the same in evaluation."""

    def __init__(self, num_clusters: int) -> None:
        super().__init__()
        self.num_clusters = num_clusters

    def forward(self, x: Tensor) -> Tensor:
        """`[N, K]`."""
        random = None if self.training else torch.Generator().manual_seed(0)
        return torch.randn(x.size(0), self.num_clusters, generator=random)


def at_random(net: DiffPoolNet, *_: Any) -> Module:
    """An assignment of noise, as in Mesquita et al. 2020: no loss could train it."""
    for pool, k in zip(net.pools, net.num_clusters, strict=True):
        pool.assign = NormalLogits(k)
    return net


class PaddedLevel(Module):
    """A level of `DiffPoolNet` on padded graphs, with another's pooling.

    The pooling takes and gives what `dense_diff_pool` does. One that assigns by its own
    layer gets no logits.
    """

    def __init__(self, level: Any, pool: Callable[..., Any], own_layer: bool) -> None:
        super().__init__()
        self.embed, self.pool, self.own_layer = level.embed, pool, own_layer
        self.assign = torch.nn.Identity() if own_layer else level.assign

    def forward(
        self,
        x: Tensor,
        adj: Tensor,
        batch: Tensor | None = None,
        batch_size: int | None = None,
        mask: Tensor | None = None,
        **_: Any,
    ) -> DiffPoolOutput:
        sparse = batch is not None
        if sparse:
            adj = to_dense_adj(adj, batch, batch_size=batch_size)
            x, mask = to_dense_batch(x, batch, batch_size=batch_size)
        graph = padded_graph(x, adj, mask)
        z = call_gnn(self.embed, x, graph)
        s = None if self.own_layer else call_gnn(self.assign, x, graph)
        x, adj, link, entropy = self.pool(z, adj, s, mask)
        there = torch.ones(x.shape[:2], dtype=torch.bool)
        z = z[mask] if sparse else z
        return DiffPoolOutput(x, adj, there, z, z, link, entropy)


def padded(
    net: DiffPoolNet,
    own: Training,
    _: float,
    make: Callable[[int, int], Any],
    own_layer: bool = False,
) -> Module:
    """`DiffPoolNet` with the levels of another."""
    for i, k in enumerate(own.clusters):
        net.pools[i] = PaddedLevel(net.pools[i], make(own.hidden, k), own_layer)
    return net


def with_edges(adj: Tensor, mask: Tensor | None) -> Tensor:
    """A loop at each node of a graph without edges, by whose number some divide.

    Leaving out nodes in training leaves such graphs behind.
    """
    nodes = adj.new_ones(adj.shape[:2]) if mask is None else mask.to(adj.dtype)
    bare = ~adj.flatten(1).any(1)
    return adj + bare.view(-1, 1, 1) * torch.diag_embed(nodes)


def min_cut(z: Tensor, adj: Tensor, s: Tensor, mask: Tensor | None) -> Any:
    """Bianchi et al. 2020, both losses added."""
    x, adj, *losses = dense_mincut_pool(z, with_edges(adj, mask), s, mask)
    return x, adj, sum(losses), torch.zeros(())


class DMoN(DMoNPooling):
    """Tsitsulin et al. 2023, all losses added; assigned by its own MLP."""

    def forward(self, z: Tensor, adj: Tensor, _: None, mask: Tensor | None) -> Any:
        _, x, adj, *losses = super().forward(z, with_edges(adj, mask), mask)
        return x, adj, sum(losses), torch.zeros(())


class TgpDiffPool(Module):
    """torch-geometric-pool's `diff`, assigned by a layer, losses divided as PyG's."""

    def __init__(self, hidden: int, clusters: int) -> None:
        super().__init__()
        require_extra("bench")
        poolers: Any = import_module("tgp.poolers")
        self.pool = poolers.DiffPool(hidden, clusters, normalize_loss=True)

    def forward(self, z: Tensor, adj: Tensor, _: None, mask: Tensor | None) -> Any:
        out = self.pool(z, adj, mask=mask)
        return out.x, out.edge_index, out.loss["link_loss"], out.loss["entropy_loss"]


METHODS: Methods = {
    "DiffPool": (itself, {}),
    "DiffPool-NoLP": (itself, {"link_weight": 0.0}),
    "DiffPool-Det": (itself, {"link_weight": 0.0, "learn_assignment": False}),
    "DiffPool-Random": (at_random, {"link_weight": 0.0, "entropy_weight": 0.0}),
    "GraphSAGE": (lambda net, own, _: Flat(net, own, MaxAggregation()), {}),
    "Set2Set": (lambda net, own, _: Flat(net, own, Set2Set(own.hidden, 3), 2), {}),
    "SortPool": (lambda net, own, _: Flat(net, own, sort_pool(own.hidden)), {}),
    "DeepSets": (deep_sets, {}),
    "PyG dense_diff_pool": (partial(padded, make=lambda *_: dense_diff_pool), {}),
    "tgp diff": (partial(padded, make=TgpDiffPool, own_layer=True), {}),
    "PyG MinCut": (partial(padded, make=lambda *_: min_cut), {}),
    "PyG DMoN": (partial(padded, make=DMoN, own_layer=True), {}),
    "PyG TopK": (partial(Selection, layer=TopKPooling), {}),
    "PyG SAG": (partial(Selection, layer=SAGPooling), {}),
    "PyG ASAP": (partial(Selection, layer=ASAPooling), {}),
    "PyG EdgePool": (partial(Selection, layer=EdgePooling), {}),
}
