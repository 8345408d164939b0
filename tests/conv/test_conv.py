"""What a GNN on a graph gives beside PyG's values, and where it goes past PyG."""

import pytest
import torch
from torch.testing import assert_close
from torch_geometric import nn as pyg

from graphs import ZOO, pad
from pyg_diffpool._minibatch import PaddedGraph, flat_graph, padded_graph
from pyg_diffpool.conv import call_gnn

C, OUT = 3, 5
WITH_RULE = pytest.mark.parametrize("kind", [pyg.GCNConv, pyg.SAGEConv, pyg.GraphConv])


def flat_form(sample):
    rest = {"batch": sample.batch, "batch_size": sample.batch_size}
    graph = flat_graph(sample.x, sample.edge_index, sample.edge_weight, **rest)
    return sample.x, graph


def padded_form(sample):
    x, adj, mask = pad(sample, sample.x)
    return x, padded_graph(x, adj, mask)


# A degree below 0 gives NaN in PyG too, and a loop of weight 0 is a loop.
@pytest.mark.parametrize("weights", [[-3.0, 1.0, 1.0, 1.0], [0.0, 1.0, 2.0, 0.5]])
def test_weights_of_gcn_at_the_edge_are_as_in_pyg(weights):
    x, edges = torch.randn(3, C), torch.tensor([[0, 1, 1, 2], [0, 2, 0, 1]])
    conv, weight = pyg.GCNConv(C, OUT), torch.tensor(weights)
    found = call_gnn(conv, x, flat_graph(x, edges, weight))
    assert_close(found, conv(x, edges, weight), equal_nan=True)


@WITH_RULE
@pytest.mark.parametrize("out_channels", [1, 2, OUT])
def test_gradients_where_the_features_have_none(kind, out_channels):
    conv, (x, graph) = kind(C, out_channels).double(), flat_form(ZOO["ordinary"])
    found, expected = (
        torch.autograd.grad(out.square().sum(), list(conv.parameters()))
        for out in (call_gnn(conv, x, graph), conv(x, ZOO["ordinary"].edge_index))
    )
    assert_close(found, expected)


@pytest.mark.parametrize("out_channels", [1, OUT])
@pytest.mark.parametrize(
    ("kind", "name"),
    [(pyg.GCNConv, "lin"), (pyg.SAGEConv, "lin_l"), (pyg.GraphConv, "lin_rel")],
)
def test_a_hook_on_the_linear_map_sees_what_pyg_shows_it(kind, name, out_channels):
    sample, seen = ZOO["ordinary"], []
    conv = kind(C, out_channels).double()
    conv.get_submodule(name).register_forward_hook(
        lambda _, inputs, out: seen.append((*inputs, out))
    )
    call_gnn(conv, *flat_form(sample))
    conv(sample.x, sample.edge_index)
    assert_close(*seen)
    conv.register_message_forward_hook(lambda *_: seen.append("messages"))
    call_gnn(conv, *flat_form(sample))
    assert seen.count("messages") == 1


def gin(kind):
    torch.manual_seed(0)
    return kind(pyg.MLP([C, 8, OUT], norm=None), train_eps=True)


@pytest.mark.parametrize(
    ("layer", "dense"),
    [
        (pyg.SAGEConv(C, OUT), pyg.DenseSAGEConv(C, OUT)),
        (pyg.GraphConv(C, OUT), pyg.DenseGraphConv(C, OUT)),
        (gin(pyg.GINConv), gin(pyg.DenseGINConv)),
    ],
    ids=["sage", "graph", "gin"],
)
def test_weighted_arithmetic_is_that_of_the_dense_layers(layer, dense):
    renamed = {
        "lin_l.weight": "lin_rel.weight",
        "lin_l.bias": "lin_root.bias",
        "lin_r.weight": "lin_root.weight",
    }
    layer, dense = layer.double(), dense.double()
    dense.load_state_dict({renamed.get(k, k): v for k, v in layer.state_dict().items()})
    x, adj = torch.randn(2, 4, C).double(), torch.rand(2, 4, 4).double()
    expected = dense(x, adj.transpose(1, 2))
    for mask in (None, torch.tensor([[True] * 4, [True] * 3 + [False]])):
        real = slice(None) if mask is None else mask
        graph = padded_graph(x, adj, mask)
        if mask is not None:
            expected = dense(x * mask[..., None], graph.adj.transpose(1, 2), mask)
            x = x.masked_fill(~mask[..., None], torch.nan)
        # A dense layer is itself taken, along the direction of the edges.
        for module in (layer, dense):
            out = call_gnn(module, x, graph)
            assert_close(out[real], expected[real])
            assert mask is None or not out[~mask].any()


def test_a_dense_layer_wants_padded_input():
    with pytest.raises(ValueError, match="'to_padded' first"):
        call_gnn(pyg.DenseSAGEConv(C, OUT).double(), *flat_form(ZOO["ordinary"]))


def test_the_gradient_of_an_adjacency_of_ones_reaches_a_layer_without_a_rule():
    adj = torch.tensor([[[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]]).double()
    x, conv = torch.randn(1, 3, C).double(), pyg.TAGConv(C, OUT).double()
    grads = []
    for factor in (1.0, 1 + 1e-9):
        leaf = (adj * factor).requires_grad_()
        out = call_gnn(conv, x, padded_graph(x, leaf, None))
        grads.append(*torch.autograd.grad(out.square().sum(), leaf))
    assert grads[0].any()
    assert_close(*grads)


def test_means_of_many_half_precision_weights_do_not_saturate():
    n = 1000
    edges = torch.stack([torch.arange(1, n + 1), torch.zeros(n, dtype=torch.long)])
    x, weight = torch.ones(n + 1, C).bfloat16(), torch.ones(n).bfloat16()
    conv = pyg.SAGEConv(C, OUT, root_weight=False, bias=False).bfloat16()
    found = call_gnn(conv, x, flat_graph(x, edges, weight))[0]
    assert_close(found, conv.lin_l(x[1]), rtol=2e-2, atol=1e-2)


@pytest.mark.parametrize("gnn", [pyg.GraphSAGE, pyg.GCN, pyg.GIN])
def test_the_edges_of_a_pooled_graph_are_not_listed(gnn, monkeypatch):
    def listed(_):
        raise AssertionError("edges are listed")

    monkeypatch.setattr(PaddedGraph, "edges", property(listed))
    pooled = padded_graph(torch.randn(2, 4, C), torch.rand(2, 4, 4), None)
    assert call_gnn(gnn(C, C, 2), torch.randn(2, 4, C), pooled).shape == (2, 4, C)


@pytest.mark.parametrize("giving", [lambda x: (x, x), lambda x: x.argmax(-1)])
def test_only_features_are_taken(giving):
    model = pyg.Sequential("x", [(giving, "x -> x")])
    with pytest.raises(TypeError, match="node features"):
        call_gnn(model, *flat_form(ZOO["ordinary"]))
