"""What users do between the operator and its backward, and within it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.nn import GCN, GIN, GCNConv, GraphSAGE

from graphs import BACKENDS, ZOO, flat, gradients, leaves, pad, sample
from pyg_diffpool import DiffPool, DiffPoolNet, dense_diff_pool, diff_pool

SAMPLE = sample([6, 3, 5], k=4, channels=8).to(torch.float)
SINGLE = sample([7], k=1, channels=1).to(torch.float)
EACH_BACKEND = pytest.mark.parametrize("backend", BACKENDS)


def pool(given=SAMPLE, **options):
    torch.manual_seed(0)  # by which "bce" draws pairs
    inputs = leaves({**flat(given), **options})
    return diff_pool(**inputs), inputs


@EACH_BACKEND
@pytest.mark.parametrize("link", ["frobenius", "bce"])
@pytest.mark.parametrize("given", [SAMPLE, SINGLE], ids=["batch", "single"])
def test_results_can_be_reshaped_and_changed(backend, link, given):
    (expected, inputs), (found, others) = (
        pool(given, backend=backend, link=link) for _ in range(2)
    )
    total = expected.x.relu().sum() + (2 * expected.adj).square().sum()
    total = total + expected.link_loss + expected.entropy_loss
    b = given.batch_size
    x, adj = found.x.view(b, -1), found.adj.view(b, -1)
    changed = found.link_loss
    changed += found.entropy_loss
    changed += torch.relu_(x).sum() + adj.mul_(2).square().sum()
    assert_close(gradients(changed, others), gradients(total, inputs))


@EACH_BACKEND
def test_a_change_of_the_edges_before_backward_changes_no_gradient(backend):
    edge_index = SAMPLE.edge_index.contiguous().clone()
    out, inputs = pool(replace(SAMPLE, edge_index=edge_index), backend=backend)
    total = out.x.square().sum() + out.adj.square().sum()
    expected = gradients(total, inputs)
    edge_index[1] = edge_index[1].flip(0)
    assert_close(gradients(total, inputs), expected)


@EACH_BACKEND
def test_a_change_of_the_assignment_is_allowed_and_gives_no_wrong_gradient(backend):
    (out, inputs), (other, others) = (pool(backend=backend) for _ in range(2))
    out.assignment.mul_(2)
    if backend == "sparse":  # where backward wants it
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.adj.square().sum().backward()
    else:
        expected = gradients(other.adj.square().sum(), others)
        assert_close(gradients(out.adj.square().sum(), inputs), expected)


@EACH_BACKEND
@pytest.mark.parametrize("given", [SAMPLE, SINGLE], ids=["batch", "single"])
def test_backward_within_autocast_is_that_without(backend, given):
    found = []
    for enabled in (False, True):
        attr = torch.ones(given.edge_index.size(1), 2)
        out, inputs = pool(given, backend=backend, edge_attr=attr)
        total = out.x.sum() + out.adj.square().sum() + out.link_loss
        total = total + out.edge_attr.square().sum()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(gradients(total, inputs))
    assert_close(found[1], found[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("form", "learned"),
    [("dense", "x"), ("dense", "adj")]
    + [(form, learned) for form in BACKENDS for learned in ("x", "edge_weight")],
)
def test_second_derivatives_where_the_logits_are_fixed(form, learned):
    options = {"dtype": torch.double, "generator": torch.Generator().manual_seed(0)}
    if form == "dense":
        shapes = {"x": (2, 5, 3), "adj": (2, 5, 5), "s": (2, 5, 2)}
        given = {name: torch.rand(shape, **options) for name, shape in shapes.items()}
    else:
        weight = torch.rand(SAMPLE.edge_index.size(1), **options)
        given = flat(replace(SAMPLE.to(torch.double), edge_weight=weight))
        given["backend"] = form

    def total(value):
        changed = {**given, learned: value}
        if form == "dense":
            x, adj, link_loss, _ = dense_diff_pool(**changed)
            return x.square().sum() + adj.square().sum() + link_loss
        out = diff_pool(**changed)
        return out.x.square().sum() + out.adj.square().sum() + out.link_loss

    value = given[learned].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(total, value)


def test_repeated_edges_do_not_saturate_in_half_precision():
    edges, half = torch.tensor([[0] * 400, [1] * 400]), torch.bfloat16
    s = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
    weights = {"edge_weight": torch.ones(400, dtype=half), "backend": "sparse"}
    out = diff_pool(torch.ones(2, 4, dtype=half), edges, s.to(half), **weights)
    assert float(out.adj[0, 0, 1]) == 400
    torch.set_default_dtype(half)
    try:
        out = diff_pool(torch.ones(2, 4, dtype=torch.float), edges, s, backend="sparse")
    finally:
        torch.set_default_dtype(torch.float)
    assert float(out.adj[0, 0, 1]) == 400


@EACH_BACKEND
def test_the_default_device_does_not_matter(backend):
    expected, inputs = pool(backend=backend)
    with torch.device("meta"):
        found, others = pool(backend=backend)
        grads = gradients(found.link_loss, others)
    assert_close(found.adj, expected.adj)
    assert_close(grads, gradients(expected.link_loss, inputs))


EDGES = torch.tensor([[0, 0, 1, 2, 3, 3], [1, 2, 0, 3, 1, 2]])
X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.double)
W = torch.rand(6, generator=torch.Generator().manual_seed(1), dtype=torch.double)


def total(out):
    squares = out.x.square().sum() + out.adj.square().sum()
    return squares + out.link_loss + out.entropy_loss


def from_one(x, w):
    """Logits, weights and edge features that all come from `x`."""
    weight = w * x[EDGES[0], 0].sigmoid()
    out = diff_pool(x, EDGES, 2 * x, edge_weight=weight, edge_attr=x[EDGES[1]])
    return total(out) + out.edge_attr.square().sum()


def from_one_padded(x, w):
    given = replace(ZOO["one-way path"], edge_index=EDGES, edge_weight=w)
    z, adj, mask = pad(given, x, max_num_nodes=5)
    return total(diff_pool(z, adj, z * 2, mask=mask))


def by_layer(x, w):
    torch.manual_seed(0)
    return total(DiffPool(GCNConv(3, 3), GCNConv(3, 2)).double()(x, EDGES, w))


def by_network(gnn, x, w):
    torch.manual_seed(0)
    net = DiffPoolNet(3, 4, 2, [3, 2], num_layers=2, gnn=gnn).double().eval()
    out = net(x, EDGES, w)
    return out.out.square().sum() + out.auxiliary_loss


LOSSES: dict[str, Any] = {
    "from one": from_one,
    "from one, padded": from_one_padded,
    "by layer": by_layer,
}
for GNN in (GraphSAGE, GCN, GIN):
    LOSSES[f"{GNN.__name__}, weighted"] = lambda x, w, g=GNN: by_network(g, x, w)
    LOSSES[GNN.__name__] = lambda x, w, g=GNN: by_network(g, x, None) + 0 * w.sum()


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_to_be_differentiated_again_or_batched_are_the_same(name):
    inputs = [X.clone().requires_grad_(), W.clone().requires_grad_()]
    loss = LOSSES[name](*inputs)
    first = torch.autograd.grad(loss, inputs, retain_graph=True)
    again = torch.autograd.grad(loss, inputs, create_graph=True)
    assert_close(again, first)
    ones = torch.ones(1).double()
    batched = torch.autograd.grad(loss, inputs, ones, is_grads_batched=True)
    assert_close(tuple(grad[0] for grad in batched), first)
