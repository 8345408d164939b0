"""Models of one's own: which weights their layers see, however they reach them."""

import copy
import functools
from collections.abc import Callable

import pytest
import torch
from torch.nn import Linear, Module, ModuleList
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint
from torch_geometric import nn as pyg
from torch_geometric.nn import GraphConv, MessagePassing
from torch_geometric.utils import add_self_loops

from pyg_diffpool import DiffPool, to_padded

C = 4
EDGES = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 0, 4, 3]])
BATCH = torch.tensor([0, 0, 0, 1, 1])
WEIGHT = torch.tensor([0.5, 2.0, 3.0, 0.25, 4.0])
X = torch.randn(5, C, generator=torch.Generator().manual_seed(0))


class Plain(Module):
    """Two layers, called by name."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = GraphConv(C, C), GraphConv(C, C)
        self.lin = Linear(C, C)
        self.reach()

    def reach(self):
        """What the subclass keeps of the layers."""

    def forward(self, x, edge_index):
        return self.lin(self.b(self.a(x, edge_index), edge_index))


def own(forward, reach=None):
    """The model with another `forward`, and other ways to reach its layers."""
    return type("Own", (Plain,), {"forward": forward, "reach": reach or Plain.reach})()


def embedded(model, weight=WEIGHT, x=X, edge_index=EDGES):
    return DiffPool(model)(x, edge_index, weight, BATCH, s=X).embedding


def is_clean(layer):
    return not {"forward", "propagate"} & vars(layer).keys()


def in_list(self):
    self.steps = [self.a, (self.b,), {"last": self.lin}]


def by_list(self, x, edge_index):
    first, (second,), rest = self.steps
    return rest["last"](second(first(x, edge_index), edge_index))


def in_methods(self):
    self.first = self.a.__call__
    self.rest = lambda x, edge_index: self.lin(self.b(x, edge_index))


def by_type(self, x, edge_index):
    for layer in self.layers:
        takes_edges = isinstance(layer, MessagePassing)
        x = layer(x, edge_index) if takes_edges else layer(x)
    return x


WAYS: dict[str, Callable[[], Module]] = {
    "in a list": lambda: own(by_list, in_list),
    "by a method": lambda: own(
        lambda self, x, edge_index: self.rest(self.first(x, edge_index), edge_index),
        in_methods,
    ),
    "by a name that is not registered": lambda: own(
        lambda self, x, edge_index: self.lin(
            self.b(self.alias(x, edge_index), edge_index)
        ),
        lambda self: vars(self).update(alias=self.a),
    ),
    "by forward": lambda: own(
        lambda me, x, edge_index: me.lin(
            me.b.forward(me.a.forward(x, edge_index), edge_index)
        )
    ),
    "by class": lambda: own(
        by_type,
        lambda self: setattr(self, "layers", ModuleList([self.a, self.b, self.lin])),
    ),
    "compiled": lambda: own(
        Plain.forward,
        lambda self: setattr(self, "a", torch.compile(self.a, backend="eager")),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_weights_reach_every_layer(way):
    plain, model = Plain(), WAYS[way]()
    expected = plain.lin(plain.b(plain.a(X, EDGES, WEIGHT), EDGES, WEIGHT))
    for each in (plain, model, model):
        assert_close(embedded(each), expected)
    assert is_clean(model.b)
    assert type(model.b) is GraphConv


LOSING = {
    "other edge_index": lambda me, x, edge_index: me.a(
        x, add_self_loops(edge_index)[0]
    ),
    "other weights": lambda me, x, edge_index: me.a(x, edge_index, x[edge_index[0], 0]),
    "a copy": lambda me, x, edge_index: me.a(x, edge_index.clone()),
    "own sums": lambda _, x, edge_index: torch.zeros_like(x).index_add(
        0, edge_index[1], x[edge_index[0]]
    ),
    "own messages": lambda me, x, edge_index: me.a.propagate(
        edge_index, x=(x, x), edge_weight=None
    ),
}


@pytest.mark.parametrize("way", LOSING)
def test_weights_are_not_lost_in_silence(way):
    model = own(LOSING[way])
    message = "propagate" if way == "own messages" else "'edge_weight' argument"
    with pytest.raises(ValueError, match=message):
        embedded(model)
    expected = model(X, EDGES)
    assert_close(embedded(model, None), expected)
    x, adj, mask = to_padded(X, EDGES, BATCH)
    blocks = DiffPool(model)(x, adj, mask=mask, s=x)
    assert_close(blocks.embedding[mask], expected)


USING = {
    "loops": lambda me, x, edge_index, edge_weight: me.a(
        x, *add_self_loops(edge_index, edge_weight)
    ),
    "halves": lambda me, x, edge_index, edge_weight: me.a(
        x, edge_index, edge_weight / 2
    ),
    "features": lambda me, x, edge_index, edge_attr: me.attention(
        x, edge_index, edge_attr
    ),
}


@pytest.mark.parametrize("weight", [WEIGHT, None], ids=["", "ones"])
@pytest.mark.parametrize("way", USING)
def test_a_model_may_do_with_weights_as_it_likes(way, weight):
    attention = pyg.GATv2Conv(C, C, edge_dim=1)
    model = own(USING[way], lambda me: setattr(me, "attention", attention))
    given = torch.ones_like(WEIGHT) if weight is None else weight
    given = given.unsqueeze(-1) if way == "features" else given
    assert_close(embedded(model, weight), model(X, EDGES, given))


@pytest.mark.parametrize("layer", [pyg.GraphConv, pyg.SAGEConv, pyg.TAGConv])
def test_edges_turned_round_keep_their_weights(layer):
    conv = layer(C, C)
    directed = pyg.DirGNNConv(conv, alpha=1.0, root_weight=False)
    turning = own(
        lambda me, x, edge_index: me.a(x, edge_index.flip(0)),
        lambda me: setattr(me, "a", conv),
    )
    for model, inner in ((turning, conv), (directed, directed.conv_out)):
        for weight in (WEIGHT, None):
            turned = embedded(inner, weight, X, EDGES.flip(0))
            assert_close(embedded(model, weight), turned)
            x, adj, mask = to_padded(X, EDGES, BATCH, weight)
            blocks = DiffPool(model)(x, adj, mask=mask, s=x).embedding
            assert_close(blocks[mask], turned)


def counting(self, x, edge_index):
    self.calls += 1
    self.seen.append(self.calls)
    out = Plain.forward(self, x, edge_index)
    self.penalty = out.square().sum()
    return out


def test_what_a_forward_sets_stays():
    model = own(counting, lambda self: vars(self).update(calls=0, seen=[]))
    for _ in range(2):
        out = embedded(model)
    assert (model.calls, model.seen) == (2, [1, 2])
    assert_close(model.penalty, out.square().sum())
    model.penalty.backward()
    assert model.a.lin_rel.weight.grad is not None


def reordering(self, x, edge_index):
    self.steps = [*self.steps]
    self.first = self.steps[0].forward
    return by_list(self, x, edge_index)


def keeping(self, x, edge_index):
    if not hasattr(self, "first"):
        self.first = self.a.forward
    return self.lin(self.b(self.first(x, edge_index), edge_index))


@pytest.mark.parametrize("forward", [reordering, keeping])
def test_what_a_forward_keeps_are_the_models_own_layers(forward):
    model = own(forward, in_list)
    for _ in range(2):
        assert_close(embedded(model), embedded(Plain()))
    first, (second,), _ = model.steps
    assert first is model.a
    assert second is model.b
    assert_close(model.first(X, EDGES), model.a(X, EDGES))
    copy.deepcopy(model)


def doubled(conv):
    original = conv.forward

    @functools.wraps(original)
    def forward(*args, **kwargs):
        return 2 * original(*args, **kwargs)

    return forward


def test_a_forward_put_over_the_layers_is_called_and_kept():
    conv = pyg.SAGEConv(C, C)
    expected = 2 * conv(X, EDGES)
    conv.forward = doubled(conv)
    for _ in range(2):
        assert_close(embedded(conv, None), expected)
    assert "forward" in vars(conv)


def test_a_layer_at_two_places():
    model = own(by_type, lambda self: setattr(self, "layers", ModuleList([self.a] * 2)))
    expected = model.a(model.a(X, EDGES, WEIGHT), EDGES, WEIGHT)
    assert_close(embedded(model), expected)
    assert is_clean(model.a)


def nested(self, x, edge_index):
    """Runs one of its layers on another graph, within a call."""
    before, pool = self.a(x, edge_index), DiffPool(self.a)
    inner = pool(x, EDGES.flip(0), WEIGHT.flip(0), BATCH, s=x).embedding
    return before + 2 * inner + 4 * self.a(x, edge_index)


@pytest.mark.parametrize("over", [False, True])
def test_a_call_within_a_call(over):
    model = own(nested)
    if over:
        model.a.forward = doubled(model.a)
    expected = 5 * model.a(X, EDGES, WEIGHT)
    expected = expected + 2 * model.a(X, EDGES.flip(0), WEIGHT.flip(0))
    assert_close(embedded(model), expected)
    assert ("forward" in vars(model.a)) == over


class Within(MessagePassing):
    """A layer with a layer of its own."""

    def __init__(self):
        super().__init__()
        self.conv = GraphConv(C, C)

    def forward(self, x, edge_index, edge_weight=None):
        return self.conv(x, edge_index.flip(0), edge_weight / 2)


def test_what_a_layer_does_within_is_its_own_business():
    model = Within()
    assert_close(embedded(model), model(X, EDGES, WEIGHT))


def test_all_is_as_before_after_an_error():
    def failing(self, x, edge_index):
        self.a(x, edge_index)
        raise RuntimeError("no")

    model = own(failing)
    model.b.forward = before = doubled(model.b)
    with pytest.raises(RuntimeError, match="no"):
        embedded(model)
    assert is_clean(model.a)
    assert model.b.forward is before


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("kind", [pyg.GCNConv, pyg.TAGConv, pyg.SAGEConv])
def test_a_checkpoint(kind, reentrant):
    x, s = X.clone().requires_grad_(), X

    def unaware(self, x, edge_index):
        return checkpoint(self.conv, x, edge_index, use_reentrant=reentrant)

    def aware(self, x, edge_index, edge_weight):
        edges = edge_index, edge_weight
        return checkpoint(self.conv, x, *edges, use_reentrant=reentrant)

    def gradient(out):
        x.grad = None
        out.sin().sum().backward()
        return x.grad

    conv = kind(C, C)
    models = [
        own(f, lambda self: setattr(self, "conv", conv)) for f in (unaware, aware)
    ]
    found = gradient(DiffPool(models[0])(x, EDGES, batch=BATCH, s=s).embedding)
    assert_close(found, gradient(conv(x, EDGES)))
    with pytest.raises(ValueError, match="checkpoint"):
        DiffPool(models[0])(x, EDGES, WEIGHT, BATCH, s=s)
    if kind is not pyg.SAGEConv:
        found = gradient(DiffPool(models[1])(x, EDGES, WEIGHT, BATCH, s=s).embedding)
        assert_close(found, gradient(conv(x, EDGES, WEIGHT)))


@pytest.mark.parametrize("kind", [pyg.GCNConv, pyg.SAGEConv])
def test_a_frozen_layer_without_gradient(kind):
    def frozen(self, x, edge_index):
        with torch.no_grad():
            first = self.a(x, edge_index)
        return first + self.b(x, edge_index)

    def layers(self):
        self.a, self.b = kind(C, C).requires_grad_(False), kind(C, C)

    model, (blocks, dense, mask) = own(frozen, layers), to_padded(X, EDGES, BATCH)
    dense = dense + 0.5
    outs, grads = [], []
    for module in (model, model.b, model.a):
        adj = dense.clone().requires_grad_()
        outs.append(DiffPool(module)(blocks, adj, mask=mask, s=blocks).embedding)
        grads += torch.autograd.grad((outs[-1] * blocks).sum(), adj)
    assert_close(outs[0], outs[1] + outs[2])
    assert_close(grads[0], grads[1])
