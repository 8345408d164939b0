"""Edge features handed to the layers of PyG, on flat and on pooled graphs."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.nn import Linear, Module
from torch.testing import assert_close
from torch_geometric import nn as pyg
from torch_geometric.utils import to_dense_adj

from conv.layers import BY_EDGE_FEATURES, mlp
from conv.levels import by_pyg, call_on_rows, gradients
from graphs import ZOO, flat, layer_arguments, pad
from pyg_diffpool import DiffPool, DiffPoolNet, diff_pool
from pyg_diffpool._minibatch import flat_graph, padded_graph

C, D = 4, 3
SAMPLE = replace(ZOO["weighted"].positive, x=torch.randn(15, C, dtype=torch.double))
X, EDGES, WEIGHT = SAMPLE.x, SAMPLE.edge_index, SAMPLE.edge_weight
ATTR = torch.rand(WEIGHT.numel(), D, dtype=torch.double)
FEATURED = {**layer_arguments(SAMPLE), "edge_attr": ATTR}


class Renamed(pyg.NNConv):
    """A layer as users derive it from PyG's."""


class Encoding(Module):
    """A model that makes its layer's features of those of the edges."""

    def __init__(self):
        super().__init__()
        self.encoder, self.conv = Linear(D, C), pyg.GINEConv(mlp())

    def forward(self, x, edge_index, edge_attr):
        return self.conv(x, edge_index, self.encoder(edge_attr))


LAYERS: dict[str, Callable[[int], Module]] = {
    **BY_EDGE_FEATURES,
    "NNConv, derived": lambda d: Renamed(C, C, Linear(d, C * C)),
}


def make(name, channels):
    torch.manual_seed(1)
    return LAYERS[name](channels).double().eval()


def flat_form(weight=WEIGHT, attr=ATTR):
    return flat_graph(X, EDGES, weight, attr, SAMPLE.batch, SAMPLE.batch_size)


def both_forms(weight=WEIGHT):
    x, adj, mask = pad(replace(SAMPLE, edge_weight=weight), X)
    attr = to_dense_adj(EDGES, SAMPLE.batch, ATTR, mask.size(1))
    return [(X, flat_form(weight)), (x, padded_graph(x, adj, mask, attr))]


def assert_in_both_forms(module, expected, weight=WEIGHT):
    """The values and the gradients by parameters."""
    wanted = gradients(expected, module)
    for x, graph in both_forms(weight):
        ours = copy.deepcopy(module)
        out = call_on_rows(ours, x, graph)
        assert_close(out, expected)
        assert_close(gradients(out, ours), wanted)


@pytest.mark.parametrize("weight", [WEIGHT, None], ids=["weighted", "unweighted"])
@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("name", LAYERS)
def test_as_in_pyg(name, more, weight):
    module = make(name, D + more)
    column = torch.ones_like(WEIGHT) if weight is None else weight
    given = torch.cat([ATTR, column.unsqueeze(-1)], 1)[:, : D + more]
    expected = by_pyg(module, X, EDGES, SAMPLE.batch, edge_attr=given)
    assert_in_both_forms(module, expected, weight)


@pytest.mark.parametrize("weight", [WEIGHT, None])
def test_features_that_a_model_makes_are_its_own(weight):
    model = Encoding().double()
    assert_in_both_forms(model, model(X, EDGES, ATTR), weight)


def test_layers_without_features_receive_the_weights():
    conv = pyg.GraphConv(C, C).double()
    assert_in_both_forms(conv, conv(X, EDGES, WEIGHT))


WRONG = {
    f"{name} of {d}": (partial(LAYERS[name], d), f"'edge_dim' = 3.*or 4.*got {d}")
    for name in ("GATv2Conv", "GINEConv", "NNConv", "GMMConv", "GAT")
    for d in (1, 2, 5)
}
WRONG["no map"] = lambda: pyg.GINEConv(mlp()), "edge_dim"
WRONG["no features"] = lambda: pyg.GATv2Conv(C, C), "uses edge weights"


@pytest.mark.parametrize("name", WRONG)
def test_another_number_of_channels(name):
    layer, message = WRONG[name]
    for x, graph in both_forms():
        with pytest.raises(ValueError, match=message):
            call_on_rows(layer().double(), x, graph)


def test_edges_turned_round_keep_their_features():
    conv = pyg.GATv2Conv(C, C, edge_dim=D, add_self_loops=False)
    model = pyg.DirGNNConv(conv, root_weight=False, alpha=1.0).double()
    expected = model.conv_out(X, EDGES.flip(0), ATTR)
    assert_close(call_on_rows(model, X, flat_form(None)), expected)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("name", LAYERS)
def test_two_levels(name, reduce):
    pool1 = DiffPool(make(name, D), make(name, D + 1), edge_reduce=reduce)
    pool2 = DiffPool(make(name, D + 1), pyg.GraphConv(C, 2).double())
    assert f"edge_reduce='{reduce}'" in repr(pool1) or reduce == "sum"
    out = pool1(**FEATURED)
    z, s = (call_on_rows(m, X, flat_form()) for m in (pool1.embed, pool1.assign))
    given = {**flat(SAMPLE), "x": z, "s": s, "edge_attr": ATTR, "edge_reduce": reduce}
    assert_close(out.edge_attr, diff_pool(**given).edge_attr)
    again = pool2(out.x, out.adj, edge_attr=out.edge_attr, mask=out.mask)
    assert again.edge_attr.shape == (3, 2, 2, D)
    # The same as an edge list.
    data = out.to_batch()
    edges = {"edge_weight": data.edge_weight, "edge_attr": data.edge_attr}
    listed = pool2(data.x, data.edge_index, batch=data.batch, **edges)
    assert_close((listed.x, listed.adj), (again.x, again.adj))


@pytest.mark.parametrize(
    "gnns",
    [
        (pyg.GraphSAGE(C, C, 2), pyg.GCN(C, 2, 2)),
        (pyg.GATConv(C, C), pyg.SAGEConv(C, 2)),
        (None, pyg.GAT(C, 2, 2)),
    ],
)
def test_no_layer_takes_the_features(gnns):
    message = r"layer for 'edge_attr'.*'edge_dim=3', or 4"
    with pytest.raises(ValueError, match=message):
        DiffPool(*gnns).double()(**FEATURED)


def test_one_layer_that_takes_the_features_or_none_at_all_is_enough():
    one = DiffPool(pyg.GAT(C, C, 2, edge_dim=D), pyg.GraphSAGE(C, 2, 2)).double()
    for pool in (one, DiffPool(None, Linear(C, 2).double())):
        assert pool(**FEATURED).edge_attr.shape == (3, 2, 2, D)


@pytest.mark.parametrize("edge_dim", [1, D, D + 1])
def test_the_network(edge_dim):
    options = {"gnn": pyg.GAT, "edge_dim": edge_dim, "edge_reduce": "mean"}
    net = DiffPoolNet(C, 8, 2, [4, 2], num_layers=2, **options).double()
    attr = ATTR.clone().requires_grad_()
    out = net(**{**FEATURED, "edge_attr": None if edge_dim == 1 else attr})
    assert out.out.shape == (3, 2)
    (out.out.square().sum() + out.auxiliary_loss).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    if edge_dim == 1:  # of weights alone
        assert out.levels[0].edge_attr is None
    else:
        assert [o.edge_attr.size(1) for o in out.levels] == [4, 2]
        assert attr.grad.any()
    with pytest.raises(ValueError, match="layer for 'edge_attr'"):
        DiffPoolNet(C, 8, 2, 4).double()(**FEATURED)
