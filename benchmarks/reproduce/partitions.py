"""Planted partitions found again by the losses of pooling alone, without a task."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, ClassVar, Literal

import networkx
import torch
from sklearn.cluster import SpectralClustering
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor
from torch.nn import Linear, Module, ModuleList
from torch.nn.functional import layer_norm
from torch_geometric.data import Data
from torch_geometric.nn import GCN, DMoNPooling, dense_mincut_pool
from torch_geometric.utils import to_dense_adj, to_networkx

from benchmarks.reproduce.planted import CHANNELS, PARTITIONS, nested, planted
from benchmarks.reproduce.table import Record, Records, Table, in_percent
from pyg_diffpool import diff_pool
from pyg_diffpool.readout import perplexity


@dataclass(frozen=True)
class Fit:
    """How a graph is fitted: Adam, by itself, K as planted."""

    steps: int = 200
    lr: float = 1e-2
    hidden: int = 64


Pooled = tuple[Tensor, Tensor, Tensor, Tensor]  # x, adj, the assignment, the loss


class DiffPoolLevel(Module):
    """The operator, assigned by a linear map; the sum of its losses, weighted."""

    def __init__(
        self,
        hidden: int,
        k: int,
        normalize: bool = True,
        pooled_adj: Literal["raw", "normalized"] = "raw",
        **weights: float,
    ) -> None:
        super().__init__()
        self.lin = Linear(hidden, k)
        self.options: Any = {"normalize": normalize, "pooled_adj": pooled_adj}
        self.weights = {"link_loss": 1.0, "entropy_loss": 1.0, **weights}

    def forward(self, x: Tensor, adj: Tensor) -> Pooled:
        """Of nodes `[n, C]` and edges, or of clusters `[1, K, C]`."""
        out = diff_pool(x, adj, self.lin(x), **self.options)
        losses = [w * getattr(out, name) for name, w in self.weights.items()]
        s = out.assignment
        return out.x, out.adj, s if s.dim() == 2 else s[0], torch.stack(losses).sum()


class PeerLevel(Module):
    """PyG's MinCut, assigned by a linear map, or its DMoN, whose own MLP is one."""

    def __init__(self, hidden: int, k: int, assign: type[Module]) -> None:
        super().__init__()
        self.assign = assign(hidden, k)

    def forward(self, x: Tensor, adj: Tensor) -> Pooled:
        if x.dim() == 2:
            x, adj = x.unsqueeze(0), to_dense_adj(adj, max_num_nodes=x.size(0))
        if isinstance(self.assign, DMoNPooling):
            s, x, adj, *losses = self.assign(x, adj)
        else:
            logits = self.assign(x)
            x, adj, *losses = dense_mincut_pool(x, adj, logits)
            s = logits.softmax(-1)
        return x, adj, s[0], sum(losses, torch.zeros(()))


EVEN = {"normalize": False, "pooled_adj": "normalized"}
LEVELS: dict[str, tuple[Callable[..., Module], dict[str, Any]]] = {
    "DiffPool": (DiffPoolLevel, {}),
    "DiffPool + orthogonality": (DiffPoolLevel, {"orthogonality_loss": 1.0}),
    "DiffPool + collapse": (DiffPoolLevel, {"collapse_loss": 1.0}),
    "DiffPool + balance": (DiffPoolLevel, {"balance_loss": 1.0}),
    "DiffPool normalize=False": (DiffPoolLevel, {"normalize": False}),
    "DiffPool normalize=False + normalized": (DiffPoolLevel, EVEN),
    "DiffPool normalize=False + normalized + orthogonality": (
        DiffPoolLevel,
        {**EVEN, "orthogonality_loss": 1.0},
    ),
    "PyG MinCut": (PeerLevel, {"assign": Linear}),
    "PyG DMoN": (PeerLevel, {"assign": DMoNPooling}),
}
SPECTRAL = "spectral clustering"


class Clusterer(Module):
    """Two layers of GCN, then levels."""

    def __init__(self, method: str, clusters: Sequence[int], own: Fit) -> None:
        super().__init__()
        make, options = LEVELS[method]
        self.gnn = GCN(CHANNELS, own.hidden, 2)
        self.levels = ModuleList(make(own.hidden, k, **options) for k in clusters)

    def forward(self, data: Data) -> tuple[list[Tensor], Tensor]:
        """The share of each node in the clusters of each level `[n, K]`, the loss."""
        x, adj, total = (
            self.gnn(data.x, data.edge_index),
            data.edge_index,
            torch.tensor(0),
        )
        shares: list[Tensor] = []
        for level in self.levels:
            if shares:  # sums over the nodes of clusters, some hundred times as large
                x = layer_norm(x, x.shape[-1:])
            x, adj, s, loss = level(x, adj)
            shares.append(shares[-1] @ s if shares else s)
            total = total + loss
        return shares, total


def fit_clusters(data: Data, method: str, seed: int, own: Fit) -> list[Tensor]:
    """The shares of the nodes after training on the losses of the levels alone."""
    torch.manual_seed(seed)
    clusters = [int(k) + 1 for k in data.block.amax(0)]
    if method == SPECTRAL:
        adj = to_dense_adj(data.edge_index, max_num_nodes=data.num_nodes)[0].numpy()
        kind = {"affinity": "precomputed", "random_state": seed}
        labels = (SpectralClustering(k, **kind).fit_predict(adj) for k in clusters)
        pairs = zip(labels, clusters, strict=True)
        return [torch.eye(k)[torch.from_numpy(found).long()] for found, k in pairs]
    net = Clusterer(method, clusters, own)
    adam = torch.optim.Adam(net.parameters(), own.lr)
    for _ in range(own.steps):
        adam.zero_grad()
        net(data)[1].backward()
        adam.step()
    with torch.no_grad():
        shares: list[Tensor] = net(data)[0]
    return shares


def modularity(data: Data, label: Tensor) -> float:
    """Newman's, of clusters `[n]`."""
    parts = [(label == c).nonzero().view(-1).tolist() for c in label.unique()]
    graph = to_networkx(data, to_undirected=True)
    return float(networkx.community.modularity(graph, parts))


class Partitions(Table):
    """Each seed is a graph; clusters against the blocks that were planted."""

    NAME = "partitions"
    METRIC = "normalised mutual information, %"
    SETTINGS: ClassVar[Mapping[str, Fit]] = {
        **{f"{name}{kind}": Fit() for kind in ("", "-bare") for name in PARTITIONS},
        "nested": Fit(),
    }
    METHODS = (*LEVELS, SPECTRAL)
    ROWS = METHODS
    FOLDS = range(10)
    PUBLISHED: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    NEEDS_ALL = False
    EXTRA = ("level 2", "modularity", "planted", "clusters in use")
    PROTOCOL = (
        "Stochastic block models of 50 to 500 nodes and 3 to 8 blocks, K as planted; "
        "'-bare' ones have noise for features. Mean degree inside and outside a block: "
        + ", ".join(
            f"{n} {p.inside:g} and {p.outside:g}" for n, p in PARTITIONS.items()
        )
        + ". 'Nested' are three communities of three blocks, two levels trained "
        "together. Each graph is fitted by itself, by the losses of the pooling alone, "
        "with two layers of GCN and a linear map (at level 2 after a layer norm); "
        "clusters are compared by the largest share. Normalised mutual information in "
        "percent, mean and deviation over graphs; modularity of level 1 beside that of "
        "the planted blocks; clusters in use is the perplexity of the assignment."
    )

    def load(self, name: str, method: str, settings: Fit) -> None:
        """Graphs are made seed by seed."""

    def run_fold(
        self, data: None, name: str, method: str, fold: int, settings: Fit
    ) -> Record:
        kind, _, bare = name.partition("-")
        graph = nested(fold) if kind == "nested" else planted(kind, not bare, fold)
        start = time.perf_counter()
        shares = fit_clusters(graph, method, fold, settings)
        labels, blocks = [s.argmax(-1) for s in shares], graph.block.unbind(1)
        both = [*zip(blocks, labels, strict=True)]
        nmi = (normalized_mutual_info_score(b.numpy(), f.numpy()) for b, f in both)
        return {
            "graphs": {"nodes": graph.num_nodes},
            "seconds": round(time.perf_counter() - start, 2),
            "nmi": [round(float(value), 4) for value in nmi],
            "modularity": round(modularity(graph, labels[0]), 4),
            "planted": round(modularity(graph, blocks[0]), 4),
            "used": [round(float(perplexity(s)), 2) for s in shares],
            "of": [int(b.max()) + 1 for b in blocks],
        }

    def summary(self, method: str, there: Records) -> dict[str, Any]:
        records = there[method].values()
        nmi, used, most = (in_levels(r[key] for r in records) for key in _BY_LEVEL)
        pairs = zip(map(mean, used), map(mean, most), strict=True)
        return {
            "graphs": len(records),
            "level 2": "".join(f"{100 * mean(values):.2f}" for values in nmi[1:]),
            "modularity": f"{mean(r['modularity'] for r in records):.3f}",
            "planted": f"{mean(r['planted'] for r in records):.3f}",
            "clusters in use": ", ".join(f"{u:.1f} of {k:.1f}" for u, k in pairs),
            **in_percent(nmi[0]),
        }


_BY_LEVEL = ("nmi", "used", "of")


def in_levels(records: Iterable[list[float]]) -> list[list[float]]:
    """The values of all records, level by level."""
    return [list(values) for values in zip(*records, strict=True)]
