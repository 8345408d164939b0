"""The methods by name."""

from collections.abc import Callable
from functools import partial

import torch
from torch.nn import Module

from benchmarks.reproduce.networks import flat, ours, selection, soft
from benchmarks.reproduce.networks.dropout import replace_dropout
from benchmarks.reproduce.networks.shape import Shape
from benchmarks.reproduce.networks.structure2vec import Structure2Vec

Make = Callable[[Shape], Module]


def _select(make: Callable[[int, float], Module]) -> Make:
    return partial(selection.SelectionNetwork, make=make)


def _cluster(make: soft.MakePool) -> Make:
    return partial(soft.SoftNetwork, make=make)


METHODS: dict[str, Make] = {
    "DiffPool": ours.DiffPoolNetwork,
    "DiffPool-NoLP": partial(ours.DiffPoolNetwork, variant="nolp"),
    "DiffPool-Det": partial(ours.DiffPoolNetwork, variant="det"),
    "S2V": partial(ours.DiffPoolNetwork, gnn=Structure2Vec),
    "DiffPool-Random": ours.RandomDiffPool,
    "GraphSAGE": flat.FlatGraphSAGE,
    "Set2Set": flat.FlatSet2Set,
    "SortPool": flat.FlatSortPool,
    "DeepSets": flat.DeepSets,
    "PyG dense_diff_pool": _cluster(soft.PyGDiffPool),
    "tgp diff": _cluster(soft.TgpDiffPool),
    "PyG MinCut": _cluster(soft.MinCut),
    "PyG DMoN": _cluster(soft.DMoN),
    "PyG TopK": _select(selection.top_k),
    "PyG SAG": _select(selection.sag),
    "PyG ASAP": _select(selection.asap),
    "PyG EdgePool": _select(selection.edge_pool),
}
"""All methods."""

NEEDS_CLUSTERS = ("DiffPool-Det",)
"""Those to which clusters are given."""


def make_network(method: str, shape: Shape, seed: int) -> Module:
    """The network with weights from the seed."""
    torch.manual_seed(seed)
    network = METHODS[method](shape)
    replace_dropout(network)
    return network
