"""The same layer with the same weights on flat and on padded graphs."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Linear, Module, ReLU
from torch_geometric import nn as pyg
from torch_geometric.nn import MessagePassing

from conv.levels import call_on_rows
from graphs import ZOO, Sample
from pyg_diffpool import _sparse, to_padded
from pyg_diffpool._minibatch import FlatGraph, PaddedGraph, flat_graph, padded_graph
from pyg_diffpool.conv import call_gnn

C, OUT = 3, 5


def mlp() -> torch.nn.Sequential:
    return torch.nn.Sequential(Linear(C, 8), ReLU(), Linear(8, OUT))


LAYERS: dict[str, Callable[[], Module]] = {
    "gcn": lambda: pyg.GCNConv(C, OUT),
    "gcn improved": lambda: pyg.GCNConv(C, OUT, improved=True, bias=False),
    "gcn no loops": lambda: pyg.GCNConv(C, OUT, add_self_loops=False),
    "gcn reversed": lambda: pyg.GCNConv(C, OUT, flow="target_to_source"),
    "gcn cached": lambda: pyg.GCNConv(C, OUT, cached=True),
    "gcn narrowing": lambda: pyg.GCNConv(C, 1),
    "sage": lambda: pyg.SAGEConv(C, OUT),
    "sage normalised": lambda: pyg.SAGEConv(C, OUT, normalize=True, project=True),
    "sage sum, no root": lambda: pyg.SAGEConv(C, OUT, aggr="sum", root_weight=False),
    "sage narrowing": lambda: pyg.SAGEConv(C, 1),
    "sage narrowing sum": lambda: pyg.SAGEConv(C, 1, aggr="sum", bias=False),
    "sage narrowing reversed": lambda: pyg.SAGEConv(C, 1, flow="target_to_source"),
    "sage max": lambda: pyg.SAGEConv(C, OUT, aggr="max"),
    "sage reversed": lambda: pyg.SAGEConv(C, OUT, flow="target_to_source"),
    "gin": lambda: pyg.GINConv(mlp(), train_eps=True),
    "graph": lambda: pyg.GraphConv(C, OUT),
    "graph narrowing": lambda: pyg.GraphConv(C, 1, bias=False),
    "graph mean": lambda: pyg.GraphConv(C, OUT, aggr="mean"),
    "gat": lambda: pyg.GATConv(C, OUT, heads=2),
    "gat edge": lambda: pyg.GATConv(C, OUT, edge_dim=1),
    "gatv2": lambda: pyg.GATv2Conv(C, OUT, edge_dim=1),
    "tag": lambda: pyg.TAGConv(C, OUT),
    "GCN": lambda: pyg.GCN(C, 8, 2, OUT, norm="BatchNorm"),
    "GraphSAGE": lambda: pyg.GraphSAGE(C, 8, 3, OUT, jk="cat", norm="GraphNorm"),
    "GIN": lambda: pyg.GIN(C, 8, 2, OUT),
    "GAT": lambda: pyg.GAT(C, 8, 2, OUT, v2=True),
    "EdgeCNN": lambda: pyg.EdgeCNN(C, 8, 2, OUT),
    "Sequential": lambda: pyg.Sequential(
        "x, edge_index",
        [(pyg.GCNConv(C, 8), "x, edge_index -> x"), ReLU(), Linear(8, OUT)],
    ),
    "GPS": lambda: pyg.Sequential(
        "x, edge_index, batch",
        [
            (Linear(C, 8), "x -> x"),
            (pyg.GPSConv(8, pyg.SAGEConv(8, 8)), "x, edge_index, batch -> x"),
        ],
    ),
    "MLP": lambda: pyg.MLP([C, 8, OUT]),
    "Linear": lambda: Linear(C, OUT),
}
USES_WEIGHTS = ["gcn", "gcn improved", "gcn no loops", "gcn reversed", "gcn narrowing"]
USES_WEIGHTS += ["graph", "graph mean", "graph narrowing"]
USES_WEIGHTS += ["gat edge", "gatv2", "tag", "GCN"]


def make(layer: str) -> Module:
    torch.manual_seed(1)
    return LAYERS[layer]().double()


def flat_form(sample: Sample) -> FlatGraph:
    return flat_graph(
        sample.x,
        sample.edge_index,
        sample.edge_weight,
        batch=sample.batch,
        batch_size=sample.batch_size,
    )


def padded_form(sample: Sample) -> tuple[Tensor, PaddedGraph]:
    x, adj, mask = to_padded(
        sample.x,
        sample.edge_index,
        sample.batch,
        sample.edge_weight,
        batch_size=sample.batch_size,
    )
    graph = padded_graph(x, adj, mask)
    return x, graph


def by_pyg(module: Module, sample: Sample, weighted: bool = False) -> Tensor:
    """The user's own call."""
    if isinstance(module, Linear | pyg.MLP):
        return module(sample.x)
    arguments = {}
    names = getattr(getattr(module, "signature", None), "param_dict", None) or []
    if isinstance(module, pyg.models.basic_gnn.BasicGNN) or "batch" in names:
        arguments["batch"] = sample.batch
    if weighted and getattr(module, "edge_dim", None) == 1:
        arguments["edge_attr"] = sample.edge_weight.unsqueeze(-1)
    elif weighted:
        arguments["edge_weight"] = sample.edge_weight
    return module(sample.x, sample.edge_index, **arguments)


def assert_same(out: Tensor, expected: Tensor, ours: Module, theirs: Module) -> None:
    torch.testing.assert_close(out, expected)
    grads, expected_grads = (
        torch.autograd.grad(
            o.square().sum(), list(m.parameters()), allow_unused=True, retain_graph=True
        )
        for o, m in ((out, ours), (expected, theirs))
    )
    torch.testing.assert_close(grads, expected_grads)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("name", ["ordinary", "undirected", "self-loops", "no edges"])
@pytest.mark.parametrize("layer", LAYERS)
def test_unweighted(layer: str, name: str) -> None:
    sample, theirs = ZOO[name], make(layer)
    flat, padded = copy.deepcopy(theirs), copy.deepcopy(theirs)
    expected = by_pyg(theirs, sample)
    out = call_on_rows(flat, sample.x, flat_form(sample))
    assert_same(out, expected, flat, theirs)
    x, graph = padded_form(sample)
    assert_same(call_on_rows(padded, x, graph), expected, padded, theirs)


@pytest.mark.parametrize("layer", USES_WEIGHTS)
def test_weighted(layer: str) -> None:
    # Positive weights: PyG's GCN takes the square root of the degree.
    sample = ZOO["weighted"]
    sample = replace(sample, edge_weight=sample.edge_weight.abs())
    theirs = make(layer)
    flat, padded = copy.deepcopy(theirs), copy.deepcopy(theirs)
    expected = by_pyg(theirs, sample, weighted=True)
    assert_same(call_on_rows(flat, sample.x, flat_form(sample)), expected, flat, theirs)
    x, graph = padded_form(sample)
    assert_same(call_on_rows(padded, x, graph), expected, padded, theirs)


def test_gcn_of_a_negative_degree_is_no_number_as_in_pyg() -> None:
    x, edge_index = torch.ones(2, C).double(), torch.tensor([[0], [1]])
    weight = torch.tensor([-3.0]).double()
    module = make("gcn")
    graph = flat_graph(x, edge_index, weight)
    out, expected = call_on_rows(module, x, graph), module(x, edge_index, weight)
    assert expected.isnan().any()
    torch.testing.assert_close(out, expected, equal_nan=True)


@pytest.mark.parametrize("layer", ["sage", "sage sum, no root", "gin", "GraphSAGE"])
def test_weighted_sums_where_the_layer_has_no_weights(layer: str) -> None:
    sample, module = ZOO["weighted"], make(layer)
    x, graph = padded_form(sample)
    out = call_on_rows(module, x, graph)
    torch.testing.assert_close(call_on_rows(module, sample.x, flat_form(sample)), out)
    ones = Sample(sample.x, sample.edge_index, sample.s, sample.batch, 3)
    assert not torch.allclose(call_on_rows(module, *padded_form(ones)), out)


@pytest.mark.parametrize("kind", [pyg.GCNConv, pyg.SAGEConv, pyg.GraphConv])
@pytest.mark.parametrize(
    ("out_channels", "needs_grad", "widths"),
    [(1, False, [1, 1]), (2, False, [C]), (2, True, [2, 2]), (OUT, True, [C, C])],
)
def test_few_channels_are_summed_forward_and_backward(
    kind: type[MessagePassing],
    out_channels: int,
    needs_grad: bool,
    widths: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summed: list[int] = []

    forward = _sparse._SpMM.forward

    def counting(value: Tensor, x: Tensor, *rest: Any) -> Tensor:
        summed.append(x.size(1))
        return forward(value, x, *rest)

    monkeypatch.setattr(_sparse._SpMM, "forward", staticmethod(counting))
    sample = ZOO["ordinary"]
    x = sample.x.clone().requires_grad_(needs_grad)
    conv = kind(C, out_channels).double()
    call_on_rows(conv, x, flat_form(sample)).square().sum().backward()
    assert summed == widths
    if needs_grad:
        expected = conv(x, sample.edge_index).square().sum()
        torch.testing.assert_close(x.grad, *torch.autograd.grad(expected, x))


@pytest.mark.parametrize("out_channels", [1, OUT])
@pytest.mark.parametrize(
    ("kind", "name"),
    [(pyg.GCNConv, "lin"), (pyg.SAGEConv, "lin_l"), (pyg.GraphConv, "lin_rel")],
)
def test_a_hook_on_the_linear_map_sees_what_pyg_shows_it(
    kind: type[MessagePassing], name: str, out_channels: int
) -> None:
    sample, seen = ZOO["ordinary"], []
    conv = kind(C, out_channels).double()
    conv.get_submodule(name).register_forward_hook(
        lambda _, inputs, out: seen.append((*inputs, out))
    )
    call_on_rows(conv, sample.x, flat_form(sample))
    conv(sample.x, sample.edge_index)
    torch.testing.assert_close(*seen)


@pytest.mark.parametrize(
    ("layer", "dense"),
    [
        ("sage", pyg.DenseSAGEConv(C, OUT)),
        ("graph", pyg.DenseGraphConv(C, OUT)),
        ("gin", pyg.DenseGINConv(mlp(), train_eps=True)),
    ],
)
def test_weighted_arithmetic_is_that_of_the_dense_layers(
    layer: str, dense: Module
) -> None:
    module = make(layer)
    renamed = {
        "lin_l.weight": "lin_rel.weight",
        "lin_l.bias": "lin_root.bias",
        "lin_r.weight": "lin_root.weight",
    }
    state = {renamed.get(k, k): v for k, v in module.state_dict().items()}
    dense = dense.double()
    dense.load_state_dict(state)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, C, generator=generator, dtype=torch.double)
    adj = torch.rand(2, 4, 4, generator=generator, dtype=torch.double)
    graph = padded_graph(x, adj, None)
    expected = graph.rows(dense(x, adj.transpose(1, 2)))
    torch.testing.assert_close(call_on_rows(module, x, graph), expected)
    # A dense layer is itself taken, along the direction of the edges.
    torch.testing.assert_close(call_on_rows(dense, x, graph), expected)


@pytest.mark.parametrize("layer", ["gat", "sage max", "EdgeCNN", "GAT"])
def test_a_layer_without_weights_says_so(layer: str) -> None:
    x, graph = padded_form(ZOO["weighted"])
    with pytest.raises(ValueError, match=r"uses edge weights.*'edge_dim=1'"):
        call_on_rows(make(layer), x, graph)


def test_a_dense_layer_wants_padded_input() -> None:
    sample = ZOO["ordinary"]
    with pytest.raises(ValueError, match="'to_padded' first"):
        call_on_rows(pyg.DenseSAGEConv(C, OUT).double(), sample.x, flat_form(sample))


def test_batch_norm_sees_real_nodes_only() -> None:
    sample = ZOO["very uneven"]
    ours, theirs = make("GCN"), make("GCN")
    by_pyg(theirs, sample)
    call_on_rows(ours, *padded_form(sample))
    norm, expected = ours.norms[0].module, theirs.norms[0].module
    torch.testing.assert_close(norm.running_mean, expected.running_mean)
    torch.testing.assert_close(norm.running_var, expected.running_var)


def test_the_model_itself_is_not_changed() -> None:
    model = make("GraphSAGE")
    before = dict(model.named_modules())
    call_on_rows(model, *padded_form(ZOO["weighted"]))
    after = dict(model.named_modules())
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)


def test_hooks_of_a_layer_are_called() -> None:
    sample, calls = ZOO["ordinary"], []
    model = make("GCN")
    model.convs[0].register_forward_hook(lambda *_: calls.append("module"))
    model.convs[1].register_message_forward_hook(lambda *_: calls.append("message"))
    call_on_rows(model, sample.x, flat_form(sample))
    assert calls == ["module", "message"]


def test_a_model_may_make_its_own_edges() -> None:
    class Reversing(Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = pyg.SAGEConv(C, OUT)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            return self.conv(x, edge_index.flip(0))

    sample, model = ZOO["ordinary"], Reversing().double()
    expected = model(sample.x, sample.edge_index)
    torch.testing.assert_close(
        call_on_rows(model, sample.x, flat_form(sample)), expected
    )
    torch.testing.assert_close(call_on_rows(model, *padded_form(sample)), expected)


def test_the_gradient_of_an_adjacency_of_ones_reaches_a_layer_without_a_rule() -> None:
    adj = torch.tensor([[[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]]).double()
    x = torch.randn(1, 3, C).double()
    conv = pyg.TAGConv(C, OUT).double()
    grads = []
    for factor in (1.0, 1 + 1e-9):
        leaf = (adj * factor).requires_grad_()
        out = call_gnn(conv, x, padded_graph(x, leaf, None))
        grads.append(*torch.autograd.grad(out.square().sum(), leaf))
    assert grads[0].any()
    torch.testing.assert_close(*grads)


def test_means_of_many_half_precision_weights_do_not_saturate() -> None:
    n = 1000
    edges = torch.stack([torch.arange(1, n + 1), torch.zeros(n, dtype=torch.long)])
    x, weight = torch.ones(n + 1, C).bfloat16(), torch.ones(n).bfloat16()
    conv = pyg.SAGEConv(C, OUT, root_weight=False, bias=False).bfloat16()
    found = call_gnn(conv, x, flat_graph(x, edges, weight))[0]
    torch.testing.assert_close(found, conv.lin_l(x[1]), rtol=2e-2, atol=1e-2)
