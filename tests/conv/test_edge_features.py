"""Edge features handed to the layers of PyG, on flat and on pooled graphs."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric import nn as pyg
from torch_geometric.utils import to_dense_adj

from conv.levels import call_on_rows
from graphs import ZOO, Sample
from pyg_diffpool import DiffPool, DiffPoolNet, DiffPoolOutput, diff_pool, to_padded
from pyg_diffpool._minibatch import (
    FlatGraph,
    MiniBatch,
    PaddedGraph,
    flat_graph,
    padded_graph,
)

C, D = 4, 3
SAMPLE = replace(ZOO["weighted"], x=torch.randn(15, C, dtype=torch.double))
WEIGHT = SAMPLE.edge_weight.abs()
ATTR = torch.rand(WEIGHT.numel(), D, dtype=torch.double)


def pna(channels: int) -> Module:
    degrees = torch.tensor([1, 2, 3, 2])
    return pyg.PNAConv(C, C, ["mean", "max"], ["identity"], degrees, edge_dim=channels)


def mlp() -> Module:
    return pyg.MLP([C, C], norm=None)


class Stack(Module):
    """A model that hands the features on by position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = pyg.GATv2Conv(C, C, edge_dim=channels)
        self.second = pyg.GATv2Conv(C, C, edge_dim=channels)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        x = self.first(x, edge_index, edge_attr).relu()
        return self.second(x, edge_index, edge_attr)


LAYERS: dict[str, Callable[[int], Module]] = {
    "GATConv": lambda d: pyg.GATConv(C, C, heads=2, concat=False, edge_dim=d),
    "GATv2Conv": lambda d: pyg.GATv2Conv(C, C, edge_dim=d),
    "TransformerConv": lambda d: pyg.TransformerConv(C, C, edge_dim=d),
    "GINEConv": lambda d: pyg.GINEConv(mlp(), edge_dim=d),
    "NNConv": lambda d: pyg.NNConv(C, C, Linear(d, C * C)),
    "GMMConv": lambda d: pyg.GMMConv(C, C, dim=d, kernel_size=2),
    "CGConv": lambda d: pyg.CGConv(C, dim=d),
    "PNAConv": pna,
    "GENConv": lambda d: pyg.GENConv(C, C, edge_dim=d, norm="layer"),
    "ResGatedGraphConv": lambda d: pyg.ResGatedGraphConv(C, C, edge_dim=d),
    "PDNConv": lambda d: pyg.PDNConv(C, C, edge_dim=d, hidden_channels=8),
    "GeneralConv": lambda d: pyg.GeneralConv(C, C, in_edge_channels=d),
    "GAT": lambda d: pyg.GAT(C, C, 2, edge_dim=d, v2=True),
    "GPSConv": lambda d: pyg.GPSConv(C, pyg.GATv2Conv(C, C, edge_dim=d)),
    "Stack": lambda d: Stack(d),
}


def make(name: str, channels: int) -> Module:
    torch.manual_seed(1)
    return LAYERS[name](channels).double().eval()


def flat_form(weight: Tensor | None = WEIGHT, attr: Tensor | None = ATTR) -> FlatGraph:
    rest = (weight, attr, SAMPLE.batch, SAMPLE.batch_size)
    return flat_graph(SAMPLE.x, SAMPLE.edge_index, *rest)


def padded_form(weight: Tensor | None = WEIGHT) -> tuple[Tensor, PaddedGraph]:
    edges = SAMPLE.edge_index, SAMPLE.batch
    x, adj, mask = to_padded(SAMPLE.x, *edges, weight)
    graph = padded_graph(x, adj, mask, to_dense_adj(*edges, ATTR, mask.size(1)))
    return x, graph


def both_forms(weight: Tensor | None = WEIGHT) -> list[tuple[Tensor, MiniBatch]]:
    return [(SAMPLE.x, flat_form(weight)), padded_form(weight)]


def by_pyg(module: Module, edge_attr: Tensor) -> Tensor:
    """The user's own call."""
    if isinstance(module, pyg.GPSConv):
        return module(SAMPLE.x, SAMPLE.edge_index, SAMPLE.batch, edge_attr=edge_attr)
    return module(SAMPLE.x, SAMPLE.edge_index, edge_attr=edge_attr)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("name", LAYERS)
def test_as_in_pyg(name: str, more: int, weighted: bool) -> None:
    weight = WEIGHT if weighted else None
    column = torch.ones_like(WEIGHT) if weight is None else weight
    theirs = make(name, D + more)
    given = torch.cat([ATTR, column.unsqueeze(-1)], 1)[:, : D + more]
    expected = by_pyg(theirs, given)
    parameters = list(theirs.parameters())
    wanted = torch.autograd.grad(expected.square().sum(), parameters, allow_unused=True)
    for x, graph in both_forms(weight):
        ours = copy.deepcopy(theirs)
        out = call_on_rows(ours, x, graph)
        torch.testing.assert_close(out, expected)
        loss, parameters = out.square().sum(), list(ours.parameters())
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("name", ["GATv2Conv", "GINEConv", "NNConv", "GMMConv", "GAT"])
def test_another_number_of_channels(name: str, channels: int) -> None:
    for x, graph in both_forms():
        with pytest.raises(ValueError, match=f"'edge_dim' = 3.*or 4.*got {channels}"):
            call_on_rows(make(name, channels), x, graph)


class Renamed(pyg.NNConv):
    """A layer as users derive it from PyG's."""


def test_a_subclass_of_a_layer_with_features() -> None:
    conv = Renamed(C, C, Linear(D, C * C)).double()
    expected = conv(SAMPLE.x, SAMPLE.edge_index, ATTR)
    for x, graph in both_forms():
        torch.testing.assert_close(call_on_rows(conv, x, graph), expected)


def test_features_as_wide_as_the_nodes_need_no_map() -> None:
    attr = torch.rand(WEIGHT.numel(), C, dtype=torch.double)
    conv = pyg.GINEConv(mlp()).double()
    expected = conv(SAMPLE.x, SAMPLE.edge_index, attr)
    torch.testing.assert_close(
        call_on_rows(conv, SAMPLE.x, flat_form(WEIGHT, attr)), expected
    )
    with pytest.raises(ValueError, match="edge_dim"):
        call_on_rows(conv, SAMPLE.x, flat_form())


def test_layers_without_features_receive_the_weights() -> None:
    conv = pyg.GraphConv(C, C).double()
    expected = conv(SAMPLE.x, SAMPLE.edge_index, WEIGHT)
    for x, graph in both_forms():
        torch.testing.assert_close(call_on_rows(conv, x, graph), expected)
        with pytest.raises(ValueError, match="uses edge weights"):
            call_on_rows(pyg.GATv2Conv(C, C).double(), x, graph)


class Encoding(Module):
    """A model that makes its layer's features of those of the edges."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.conv = Linear(D, C), pyg.GINEConv(mlp())

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        return self.conv(x, edge_index, self.encoder(edge_attr))


@pytest.mark.parametrize("weight", [WEIGHT, None])
def test_features_that_a_model_makes_are_its_own(weight: Tensor | None) -> None:
    model = Encoding().double()
    expected = model(SAMPLE.x, SAMPLE.edge_index, ATTR)
    for x, graph in both_forms(weight):
        torch.testing.assert_close(call_on_rows(model, x, graph), expected)


def test_edges_turned_round_keep_their_features() -> None:
    conv = pyg.GATv2Conv(C, C, edge_dim=D, add_self_loops=False)
    model = pyg.DirGNNConv(conv, root_weight=False, alpha=1.0).double()
    turned = SAMPLE.edge_index.flip(0)
    expected = model.conv_out(SAMPLE.x, turned, ATTR)
    torch.testing.assert_close(call_on_rows(model, SAMPLE.x, flat_form(None)), expected)


def level(pool: DiffPool, sample: Sample = SAMPLE) -> DiffPoolOutput:
    edges = {"edge_weight": WEIGHT, "edge_attr": ATTR}
    return pool(sample.x, sample.edge_index, batch=sample.batch, **edges)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("name", LAYERS)
def test_two_levels(name: str, reduce: str) -> None:
    pool1 = DiffPool(make(name, D), make(name, D + 1), edge_reduce=reduce)
    pool2 = DiffPool(make(name, D + 1), pyg.GraphConv(C, 2).double())
    assert f"edge_reduce='{reduce}'" in repr(pool1) or reduce == "sum"
    out = level(pool1)
    z = call_on_rows(pool1.embed, SAMPLE.x, flat_form())
    s = call_on_rows(pool1.assign, SAMPLE.x, flat_form())
    options = {"edge_weight": WEIGHT, "edge_attr": ATTR, "edge_reduce": reduce}
    expected = diff_pool(z, SAMPLE.edge_index, s, batch=SAMPLE.batch, **options)
    torch.testing.assert_close(out.edge_attr, expected.edge_attr)
    again = pool2(out.x, out.adj, edge_attr=out.edge_attr, mask=out.mask)
    assert again.edge_attr.shape == (3, 2, 2, D)
    # The same as an edge list.
    data = out.to_batch()
    edges = {"edge_weight": data.edge_weight, "edge_attr": data.edge_attr}
    listed = pool2(data.x, data.edge_index, batch=data.batch, **edges)
    torch.testing.assert_close(listed.x, again.x)
    torch.testing.assert_close(listed.adj, again.adj)


def test_no_layer_takes_the_features() -> None:
    for gnns in [
        (pyg.GraphSAGE(C, C, 2), pyg.GCN(C, 2, 2)),
        (pyg.GATConv(C, C), pyg.SAGEConv(C, 2)),
        (None, pyg.GAT(C, 2, 2)),
    ]:
        with pytest.raises(
            ValueError, match=r"layer for 'edge_attr'.*'edge_dim=3', or 4"
        ):
            level(DiffPool(*gnns).double())
    one = DiffPool(pyg.GAT(C, C, 2, edge_dim=D), pyg.GraphSAGE(C, 2, 2)).double()
    assert level(one).edge_attr.shape == (3, 2, 2, D)
    assert level(DiffPool(None, Linear(C, 2).double())).edge_attr is not None


@pytest.mark.parametrize("edge_dim", [D, D + 1])
def test_the_network(edge_dim: int) -> None:
    options = {"gnn": pyg.GAT, "edge_dim": edge_dim, "edge_reduce": "mean"}
    net = DiffPoolNet(C, 8, 2, [4, 2], num_layers=2, **options).double()
    edges = {"edge_weight": WEIGHT, "edge_attr": ATTR.clone().requires_grad_()}
    out = net(SAMPLE.x, SAMPLE.edge_index, batch=SAMPLE.batch, **edges)
    assert [o.edge_attr.size(1) for o in out.levels] == [4, 2]
    (out.out.square().sum() + out.auxiliary_loss).backward()
    assert edges["edge_attr"].grad.any()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    with pytest.raises(ValueError, match="layer for 'edge_attr'"):
        DiffPoolNet(C, 8, 2, 4).double()(SAMPLE.x, SAMPLE.edge_index, edge_attr=ATTR)


def test_weights_alone_through_the_network() -> None:
    net = DiffPoolNet(C, 8, 2, [4, 2], num_layers=2, gnn=pyg.GAT, edge_dim=1).double()
    out = net(SAMPLE.x, SAMPLE.edge_index, WEIGHT, SAMPLE.batch)
    assert out.out.shape == (3, 2)
    assert out.levels[0].edge_attr is None
