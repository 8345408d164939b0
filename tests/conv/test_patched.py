"""Models that reach their layers by other ways than their submodules' names."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Linear, Module, ModuleList
from torch.utils.checkpoint import checkpoint
from torch_geometric.nn import GCNConv, GraphConv, MessagePassing, SAGEConv, TAGConv

from pyg_diffpool import DiffPool, diff_pool

C, K = 4, 3
EDGES = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 0, 4, 3]])
BATCH = torch.tensor([0, 0, 0, 1, 1])
WEIGHT = torch.tensor([0.5, 2.0, 3.0, 0.25, 4.0])
X = torch.randn(5, C, generator=torch.Generator().manual_seed(0))


class Plain(Module):
    """Two layers, called by name."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = GraphConv(C, C), GraphConv(C, C)
        self.lin = Linear(C, C)
        self.reach()

    def reach(self) -> None:
        """What the subclass keeps of the layers."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.lin(self.b(self.a(x, edge_index), edge_index))


class InList(Plain):
    def reach(self) -> None:
        self.steps = [self.a, (self.b,), {"last": self.lin}]

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        first, (second,), rest = self.steps
        return rest["last"](second(first(x, edge_index), edge_index))


class ByMethod(Plain):
    def reach(self) -> None:
        self.first, self.step = self.a.__call__, self.second

    def second(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.lin(self.b(x, edge_index))

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.step(self.first(x, edge_index), edge_index)


class ByAlias(Plain):
    def reach(self) -> None:
        vars(self)["alias"] = self.a  # past the list of submodules

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.lin(self.b(self.alias(x, edge_index), edge_index))


class ByForward(Plain):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.lin(self.b.forward(self.a.forward(x, edge_index), edge_index))


class OtherSelf(Plain):
    def forward(me, x: Tensor, edge_index: Tensor) -> Tensor:  # noqa: N805
        return me.lin(me.b(me.a(x, edge_index), edge_index))


@pytest.mark.parametrize("kind", [InList, ByMethod, ByAlias, ByForward, OtherSelf])
def test_weights_reach_every_layer(kind: type[Plain]) -> None:
    expected, found = (
        DiffPool(model())(X, EDGES, WEIGHT, BATCH, s=X).embedding
        for model in (Plain, kind)
    )
    torch.testing.assert_close(found, expected)
    model = kind()
    other = DiffPool(model)(X, EDGES, WEIGHT, BATCH, s=X).embedding
    torch.testing.assert_close(other, expected)
    layers = (model.a, model.b)
    assert all(type(layer) is GraphConv for layer in layers)


class ByPropagate(Plain):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.a.propagate(edge_index, x=(x, x), edge_weight=None)


def test_messages_past_the_layer_would_lose_weights() -> None:
    pool = DiffPool(ByPropagate())
    assert pool(X, EDGES, batch=BATCH, s=X).embedding.shape == X.shape
    with pytest.raises(ValueError, match="call of 'propagate'"):
        pool(X, EDGES, WEIGHT, BATCH, s=X)


class Counting(Plain):
    """Sets attributes, in itself and in a part of itself."""

    def reach(self) -> None:
        self.calls, self.seen = 0, []

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(self.calls)
        h = super().forward(x, edge_index)
        self.penalty = h.square().sum()
        return h


class Outer(Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Counting()

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.inner(x, edge_index)


@pytest.mark.parametrize("kind", [Counting, Outer])
def test_what_a_forward_sets_stays(kind: type[Module]) -> None:
    model = kind()
    pool, inner = DiffPool(model), getattr(model, "inner", model)
    for _ in range(2):
        out = pool(X, EDGES, batch=BATCH, s=X)
    assert (inner.calls, inner.seen) == (2, [1, 2])
    torch.testing.assert_close(inner.penalty, out.embedding.square().sum())
    inner.penalty.backward()
    assert inner.a.lin_rel.weight.grad is not None


class Reordering(InList):
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        self.steps = [*self.steps]
        self.first = self.steps[0].forward
        return super().forward(x, edge_index)


def test_what_a_forward_sets_holds_the_models_own_layers() -> None:
    model = Reordering()
    expected = DiffPool(model)(X, EDGES, WEIGHT, BATCH, s=X).embedding
    first, (second,), _ = model.steps
    assert first is model.a
    assert second is model.b
    torch.testing.assert_close(model.first(X, EDGES), model.a(X, EDGES))
    found = DiffPool(model)(X, EDGES, WEIGHT, BATCH, s=X).embedding
    torch.testing.assert_close(found, expected)


def doubled(conv: Module) -> Callable[..., Tensor]:
    original = conv.forward

    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Tensor:
        return 2 * original(*args, **kwargs)

    return forward


@pytest.mark.parametrize("hook", [False, True])
def test_a_forward_put_over_the_layers_is_called_and_kept(hook: bool) -> None:
    conv = SAGEConv(C, C)
    expected = 2 * conv(X, EDGES)
    conv.forward = doubled(conv)
    if hook:
        conv.register_forward_hook(lambda *_: None)
    pool = DiffPool(conv)
    for _ in range(2):
        torch.testing.assert_close(pool(X, EDGES, s=X).embedding, expected)
    assert "forward" in vars(conv)


class Shared(Plain):
    def reach(self) -> None:
        self.layers = ModuleList([self.a, self.a])

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, edge_index)
        return x


def test_a_layer_at_two_places() -> None:
    model = Shared()
    expected = model.a(model.a(X, EDGES, WEIGHT), EDGES, WEIGHT)
    torch.testing.assert_close(embedded(model), expected)
    assert not {"forward", "propagate"} & vars(model.a).keys()


def embedded(model: Module) -> Tensor:
    return DiffPool(model)(X, EDGES, WEIGHT, BATCH, s=X).embedding


class Nested(Plain):
    """Runs one of its layers on another graph, within a call."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        before = self.a(x, edge_index)
        pool = DiffPool(self.a)
        inner = pool(x, EDGES.flip(0), WEIGHT.flip(0), BATCH, s=x).embedding
        return before + 2 * inner + 4 * self.a(x, edge_index)


@pytest.mark.parametrize("over", [False, True])
def test_a_call_within_a_call(over: bool) -> None:
    model = Nested()
    if over:
        model.a.forward = doubled(model.a)
    expected = 5 * model.a(X, EDGES, WEIGHT)
    expected = expected + 2 * model.a(X, EDGES.flip(0), WEIGHT.flip(0))
    torch.testing.assert_close(embedded(model), expected)
    assert ("forward" in vars(model.a)) == over


class Within(MessagePassing):
    """A layer with a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = GraphConv(C, C)

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        return self.conv(x, edge_index.flip(0), edge_weight / 2)


def test_what_a_layer_does_within_is_its_own_business() -> None:
    model = Within()
    torch.testing.assert_close(embedded(model), model(X, EDGES, WEIGHT))


def test_all_is_as_before_after_an_error() -> None:
    class Failing(Plain):
        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            self.a(x, edge_index)
            raise RuntimeError("no")

    model = Failing()
    model.b.forward = before = doubled(model.b)
    with pytest.raises(RuntimeError, match="no"):
        embedded(model)
    assert not {"forward", "propagate"} & vars(model.a).keys()
    assert model.b.forward is before


class Keeping(Plain):
    """Keeps a method of a layer from its first call."""

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        if not hasattr(self, "kept"):
            self.kept = self.a.forward
        return self.kept(x, edge_index)


def test_a_method_kept_from_a_call_before() -> None:
    model = Keeping()
    for _ in range(2):
        torch.testing.assert_close(embedded(model), model.a(X, EDGES, WEIGHT))
    torch.testing.assert_close(model(X, EDGES), model.a(X, EDGES))
    copy.deepcopy(model)


class Checkpointed(Plain):
    def __init__(self, conv: Module, reentrant: bool) -> None:
        super().__init__()
        self.conv, self.reentrant = conv, reentrant

    def forward(self, x: Tensor, *edges: Tensor) -> Tensor:
        return checkpoint(self.conv, x, *edges, use_reentrant=self.reentrant)


class Aware(Checkpointed):
    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        return super().forward(x, edge_index, edge_weight)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("kind", [GCNConv, TAGConv, SAGEConv])
def test_a_checkpoint(kind: type[Module], reentrant: bool) -> None:
    conv, x = kind(C, C), X.clone().requires_grad_()
    model = Checkpointed(conv, reentrant)
    out = DiffPool(model)(x, EDGES, batch=BATCH, s=X).embedding
    expected = torch.autograd.grad(conv(x, EDGES).sin().sum(), x)
    torch.testing.assert_close(gradient(out, x), *expected)
    with pytest.raises(ValueError, match="checkpoint"):
        DiffPool(model)(x, EDGES, WEIGHT, BATCH, s=X)
    if kind is not SAGEConv:
        out = DiffPool(Aware(conv, reentrant))(x, EDGES, WEIGHT, BATCH, s=X).embedding
        expected = torch.autograd.grad(conv(x, EDGES, WEIGHT).sin().sum(), x)
        torch.testing.assert_close(gradient(out, x), *expected)


def gradient(out: Tensor, x: Tensor) -> Tensor:
    x.grad = None
    out.sin().sum().backward()
    return x.grad


def test_a_frozen_layer_without_gradient() -> None:
    class Frozen(Plain):
        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            with torch.no_grad():
                x = self.a(x, edge_index)
            return self.b(x, edge_index)

    model = Frozen()
    model.a.requires_grad_(False)
    expected = model.b(model.a(X, EDGES, WEIGHT), EDGES, WEIGHT)
    torch.testing.assert_close(embedded(model), expected)


def test_a_loop_of_weight_0_is_a_loop() -> None:
    conv = GCNConv(C, C)
    edges = torch.tensor([[0, 1, 1, 2], [0, 2, 0, 1]])
    weight = torch.tensor([0.0, 1.0, 2.0, 0.5])
    out = DiffPool(conv)(X[:3], edges, weight, s=X[:3])
    torch.testing.assert_close(out.embedding, conv(X[:3], edges, weight))


def test_a_frozen_assignment_can_be_differentiated_twice() -> None:
    x = X.clone().requires_grad_()
    out = diff_pool(x, EDGES, X, batch=BATCH)
    total = out.x.square().sum() + out.link_loss + out.entropy_loss
    (first,) = torch.autograd.grad(total, x, create_graph=True)
    first.square().sum().backward()
    assert x.grad is not None
    assert bool(x.grad.abs().sum() > 0)
