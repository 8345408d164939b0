"""What a model does with its edges decides which weights its layers see."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Linear, Module, ModuleList, ReLU
from torch_geometric import nn as pyg
from torch_geometric.utils import add_self_loops

from graphs import ZOO
from pyg_diffpool._minibatch import FlatGraph, PaddedGraph, flat_graph, padded_graph
from pyg_diffpool.conv import call_gnn

C = 3
SAMPLE = ZOO["weighted"]
WEIGHT = SAMPLE.edge_weight.abs()


def graph(weight: Tensor | None = WEIGHT) -> FlatGraph:
    return flat_graph(SAMPLE.x, SAMPLE.edge_index, weight, batch=SAMPLE.batch)


def conv() -> Module:
    torch.manual_seed(0)
    return pyg.GraphConv(C, C).double()


class Model(Module):
    """A layer called as the subclass says."""

    def __init__(self, layer: Module) -> None:
        super().__init__()
        self.conv = layer


class OwnEdges(Model):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.conv(x, add_self_loops(edge_index)[0])


class OwnWeights(Model):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.conv(x, edge_index, x[edge_index[0], 0])


class CopiedEdges(Model):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.conv(x, edge_index.clone())


class Aware(Model):
    def forward(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        return self.conv(x, *add_self_loops(edge_index, edge_weight))


class Halving(Model):
    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        return self.conv(x, edge_index, edge_weight / 2)


class Features(Model):
    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        return self.conv(x, edge_index, edge_attr)


class ByType(Module):
    """Layers told from others by their class, as is common."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = ModuleList([conv(), ReLU(), Linear(C, C).double()])

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        for layer in self.layers:
            takes_edges = isinstance(layer, pyg.MessagePassing)
            x = layer(x, edge_index) if takes_edges else layer(x)
        return x


@pytest.mark.parametrize("model", [OwnEdges, OwnWeights])
def test_weights_are_not_lost_in_silence(model: type[Model]) -> None:
    with pytest.raises(ValueError, match="'edge_weight' argument"):
        call_gnn(model(conv()), SAMPLE.x, graph())
    out = call_gnn(model(conv()), SAMPLE.x, graph(None))
    torch.testing.assert_close(out, model(conv())(SAMPLE.x, SAMPLE.edge_index))


@pytest.mark.parametrize("model", [Aware, Halving])
def test_a_model_may_do_with_weights_as_it_likes(model: type[Model]) -> None:
    expected = model(conv())(SAMPLE.x, SAMPLE.edge_index, WEIGHT)
    torch.testing.assert_close(call_gnn(model(conv()), SAMPLE.x, graph()), expected)


def test_weights_that_must_not_be_missing_are_ones() -> None:
    ones = torch.ones_like(WEIGHT)
    expected = Halving(conv())(SAMPLE.x, SAMPLE.edge_index, ones)
    out = call_gnn(Halving(conv()), SAMPLE.x, graph(None))
    torch.testing.assert_close(out, expected)
    model = Features(pyg.GATv2Conv(C, C, edge_dim=1).double())
    expected = model(SAMPLE.x, SAMPLE.edge_index, ones.unsqueeze(-1))
    torch.testing.assert_close(call_gnn(model, SAMPLE.x, graph(None)), expected)


def test_weights_by_the_name_of_edge_features() -> None:
    model = Features(pyg.GATv2Conv(C, C, edge_dim=1).double())
    expected = model(SAMPLE.x, SAMPLE.edge_index, WEIGHT.unsqueeze(-1))
    torch.testing.assert_close(call_gnn(model, SAMPLE.x, graph()), expected)


def test_a_copy_of_the_edges_keeps_their_weights() -> None:
    expected = conv()(SAMPLE.x, SAMPLE.edge_index, WEIGHT)
    out = call_gnn(CopiedEdges(conv()), SAMPLE.x, graph())
    torch.testing.assert_close(out, expected)


def test_layers_are_still_of_their_class() -> None:
    model = ByType()
    expected = model.layers[0](SAMPLE.x, SAMPLE.edge_index, WEIGHT).relu()
    expected = model.layers[2](expected)
    torch.testing.assert_close(call_gnn(model, SAMPLE.x, graph()), expected)


@pytest.mark.parametrize("layer", [pyg.GraphConv, pyg.SAGEConv, pyg.TAGConv])
def test_edges_turned_round_keep_their_weights(layer: type[Module]) -> None:
    model = pyg.DirGNNConv(layer(C, C), alpha=1.0, root_weight=False).double()
    expected = call_gnn(model.conv_out, SAMPLE.x, turned())
    torch.testing.assert_close(call_gnn(model, SAMPLE.x, graph()), expected)


def turned() -> FlatGraph:
    edges = SAMPLE.edge_index.flip(0)
    return flat_graph(SAMPLE.x, edges, WEIGHT, batch=SAMPLE.batch)


def test_a_sequential_is_not_built_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pyg.Sequential("x, edge_index", [(conv(), "x, edge_index -> x")])

    def fail(*_: Any) -> None:
        raise AssertionError("written anew")

    monkeypatch.setattr(pyg.Sequential, "_set_jittable_template", fail)
    expected = model[0](SAMPLE.x, SAMPLE.edge_index, WEIGHT)
    torch.testing.assert_close(call_gnn(model, SAMPLE.x, graph()), expected)


@pytest.mark.parametrize("giving", [lambda x: (x, x), lambda x: x.argmax(-1)])
def test_only_features_are_taken(giving: Any) -> None:
    model = pyg.Sequential(
        "x, edge_index", [(conv(), "x, edge_index -> x"), (giving, "x -> x")]
    )
    with pytest.raises(TypeError, match="node features"):
        call_gnn(model, SAMPLE.x, graph())


def test_weights_reach_a_compiled_part() -> None:
    expected = conv()(SAMPLE.x, SAMPLE.edge_index, WEIGHT)
    part = torch.compile(conv(), backend="eager")
    model = pyg.Sequential("x, edge_index", [(part, "x, edge_index -> x")])
    for module in (part, model):
        torch.testing.assert_close(call_gnn(module, SAMPLE.x, graph()), expected)


@pytest.mark.parametrize("gnn", [pyg.GraphSAGE, pyg.GCN, pyg.GIN])
def test_the_edges_of_a_pooled_graph_are_not_listed(
    gnn: type[Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(_: object) -> None:
        raise AssertionError("edges are listed")

    monkeypatch.setattr(PaddedGraph, "edges", property(listed))
    pooled = padded_graph(torch.randn(2, 4, C), torch.rand(2, 4, 4), None)
    assert call_gnn(gnn(C, C, 2), torch.randn(2, 4, C), pooled).shape == (2, 4, C)
