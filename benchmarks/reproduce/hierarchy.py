"""Tasks on which pooling is said to matter: accuracy beside flat networks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from statistics import mean
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Data
from torch_geometric.nn import GIN, GraphSAGE, Sequential
from torch_geometric.nn.aggr import MaxAggregation, MeanAggregation
from torch_geometric.transforms import BaseTransform

from benchmarks.reproduce import networks, published
from benchmarks.reproduce.networks import Flat, itself
from benchmarks.reproduce.planted import (
    COMMUNITIES,
    POSITIONED,
    POSITIONS,
    PUBLISHED_SMALL,
    RECIPES,
    load_planted,
)
from benchmarks.reproduce.settings import Training
from benchmarks.reproduce.table import Record, Records, Table, in_percent
from benchmarks.reproduce.training import TableData, train
from pyg_diffpool import DiffPoolNet, DiffPoolNetOutput
from pyg_diffpool.train.sets import load_dataset

TRAINED = "PythonFunctions"  # the set of the trained example
_BASE = Training(
    epochs=20, batch_size=32, lr=2e-3, dropout=0.0, hidden=32, layers=2, averaging=0.0
)
SMALL = [name for name in RECIPES if "small" in name] + [*PUBLISHED_SMALL]
SETTINGS = {
    **{name: replace(_BASE, clusters=(32, 8)) for name in ("hard", "easy")},
    **{name: replace(_BASE, clusters=(16, 4), epochs=40) for name in SMALL},
    COMMUNITIES: replace(_BASE, clusters=(9, 1)),
    POSITIONED: replace(_BASE, epochs=12, lr=4e-3, layers=3, clusters=(16, 1)),
    TRAINED: replace(
        _BASE, epochs=12, dropout=0.3, hidden=64, layers=3, clusters=(16, 4)
    ),
}
"""The same for all methods; a flat network has the layers of all levels together."""


READOUTS = {"": MaxAggregation, " (mean)": MeanAggregation}
DEPTHS: dict[str, dict[str, int]] = {
    "": {},  # the layers of all levels together
    **{f" {n} layers": {"num_layers": n} for n in (4, 8, 10)},
}
FLAT: dict[str, Any] = {
    f"{gnn.__name__}{how}{depth}": (
        lambda net, own, _, read=read: Flat(net, own, read()),
        {"gnn": gnn, **options},
    )
    for depth, options in DEPTHS.items()
    for gnn in (GraphSAGE, GIN)
    for how, read in READOUTS.items()
}


class ByPositions(Module):
    """DiffPool that assigns by positions and embeds the features before them.

    In a community of 14 to 33 nodes each has four neighbours. An entry of S S^T that is
    to come near A would be a fifth then, of clusters that are spread; edges of weight 5
    ask for whole ones.
    """

    EDGE_WEIGHT = 5.0

    def __init__(self, net: DiffPoolNet, own: Training, _: float) -> None:
        super().__init__()
        colors = net.width - POSITIONS
        kept = DiffPoolNet(colors, own.hidden, 1, 1, num_layers=own.layers)
        level: Any = kept.pools[0]
        steps = [
            (lambda x: x[:, :colors], "x -> x"),
            (level.embed, "x, edge_index -> x"),
        ]
        net.pools[0].embed = Sequential("x, edge_index", steps)
        self.net = net

    def forward(
        self, x: Tensor, edge_index: Tensor, _: Any, batch: Tensor, batch_size: int
    ) -> DiffPoolNetOutput:
        weight = x.new_full((edge_index.size(1),), self.EDGE_WEIGHT)
        out: DiffPoolNetOutput = self.net(x, edge_index, weight, batch, batch_size)
        return out


_NO_LOSSES = {"link_weight": 0.0, "entropy_weight": 0.0}
_EVEN = {"pooled_adj": "normalized"}
OURS: dict[str, Any] = {
    "DiffPool": (itself, {}),
    "DiffPool without losses": (itself, _NO_LOSSES),
    "DiffPool normalize=False": (itself, {"normalize": False}),
    "DiffPool normalize=False + normalized": (itself, {"normalize": False, **_EVEN}),
    "DiffPool by positions": (
        ByPositions,
        {"normalize": False, "entropy_weight": 10.0, **_EVEN},
    ),
    "DiffPool-Det": networks.METHODS["DiffPool-Det"],
    "DiffPool + orthogonality": (itself, {"orthogonality_weight": 1.0}),
    "DiffPool + collapse": (itself, {"collapse_weight": 1.0}),
    "DiffPool + balance": (itself, {"balance_weight": 1.0}),
    "DiffPool + normalized": (itself, _EVEN),
    "DiffPool + 0.1 balance + normalized": (itself, {"balance_weight": 0.1, **_EVEN}),
    "DiffPool + orthogonality + normalized": (
        itself,
        {"orthogonality_weight": 1.0, **_EVEN},
    ),
}
PEERS = {
    name: entry for name, entry in networks.METHODS.items() if name.startswith("PyG ")
}


class WithoutClusters(BaseTransform):
    """Take away the communities that were planted."""

    def forward(self, data: Data) -> Data:
        if "clusters" in data:
            del data.clusters
        return data


class Hierarchy(Table):
    """GraphClass: a split that is fixed, several seeds, the epoch chosen apart."""

    NAME = "hierarchy"
    METRIC = "test accuracy, %"
    SETTINGS = SETTINGS
    METHODS = (*FLAT, *OURS, *PEERS)
    ROWS = (*FLAT, *OURS)
    FOLDS = range(10)
    PUBLISHED = published.GRAPH_CLASS
    NEEDS_ALL = False
    EXTRA = ("validation", "seeds", "against flat", "clusters in use")
    PROTOCOL = (
        "Of each training the first epoch with the best accuracy on validation graphs "
        "is tested; mean and deviation over seeds, the split is the same. 'Against "
        "flat' is the mean difference to the flat network that is best on validation "
        "graphs, of those with the most seeds, seed by seed, with its 95 % interval "
        "and p of the paired t-test; 'clusters in use' the perplexity at each level on "
        "validation graphs. All methods of a set have the same settings. Of "
        "PythonFunctions graphs that are equal count once."
    )

    def load(self, name: str, method: str, settings: Training) -> TableData:
        if name == TRAINED:
            dataset = load_dataset(name)
            groups = dataset.duplicate_group.tolist()
            first = {group: i for i, group in reversed([*enumerate(groups)])}
            distinct = dataset[sorted(first.values())]
            data = TableData(distinct, settings.batch_size)
            data.split = data.make_split()
            return data
        graphs, split = load_planted(name, self.options.data)
        change = None if method == "DiffPool-Det" else WithoutClusters()
        data = TableData(graphs, settings.batch_size, change)
        data.split = split
        return data

    def run_fold(
        self, data: TableData, name: str, method: str, fold: int, settings: Training
    ) -> Record:
        if method in FLAT:
            layers = settings.layers * (len(settings.clusters) + 1)
            settings = replace(settings, layers=layers)
        curves = train(data, method, settings, fold, FLAT | OURS | PEERS)
        graphs = data.sizes()
        right = {part: curves.right(part, graphs[part]) for part in graphs}
        best = right["val"].index(max(right["val"]))
        return {
            "graphs": graphs,
            "seconds": curves.seconds,
            "train": right["train"][best],
            "val": right["val"],
            "test": right["test"],
            "used": curves.used[best],
        }

    def summary(self, method: str, there: Records) -> dict[str, Any]:
        records, flat = there[method], best_flat(there)
        seen = [accuracy(record, "val") for record in records.values()]
        used = torch.tensor([r["used"] for r in records.values()]).mean(0)
        beside = paired(records, there[flat]) if flat and method not in FLAT else ""
        return {
            "seeds": str(len(records)),
            "validation": f"{100 * mean(seen):.2f}",
            "clusters in use": ", ".join(f"{k:.1f}" for k in used.tolist()),
            "against flat": beside,
            **in_percent([accuracy(r, "test") for r in records.values()]),
        }


def accuracy(record: Record, part: str) -> float:
    """Of the first epoch that is best on validation graphs."""
    best = record["val"].index(max(record["val"]))
    return float(record[part][best]) / float(record["graphs"][part])


def best_flat(there: Mapping[str, Mapping[int, Record]]) -> str | None:
    """The flat method with the best mean accuracy on validation graphs.

    Of those with the most seeds, so that differences have them.
    """
    flat = {method: there[method] for method in FLAT if there.get(method)}
    most = max(map(len, flat.values()), default=0)
    means = {
        method: sum(accuracy(r, "val") for r in records.values()) / most
        for method, records in flat.items()
        if len(records) == most
    }
    return max(means, key=lambda method: means[method]) if means else None


def paired(records: Mapping[int, Record], flat: Mapping[int, Record]) -> str:
    """Mean difference in points, its 95 % interval and p, over the seeds of both."""
    seeds: Sequence[int] = sorted(records.keys() & flat.keys())
    sides = ([100 * accuracy(r[s], "test") for s in seeds] for r in (records, flat))
    if len(seeds) < 2:
        return ""
    test = import_module("scipy.stats").ttest_rel(*sides)
    low, high = test.confidence_interval()
    mean = (low + high) / 2
    if low == high:
        return f"{mean:+.1f} in each"
    p = "p < 0.01" if test.pvalue < 0.01 else f"p = {test.pvalue:.2f}"
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f}), {p}"
