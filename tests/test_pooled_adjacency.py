"""The normalised pooled adjacency where it is hard, and at every level."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import reference
from graphs import BACKENDS, ZOO, flat, layer_arguments, leaves, padded, pool
from pyg_diffpool import DiffPool, DiffPoolNet, diff_pool

NORMALIZED = {"pooled_adj": "normalized"}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["ordinary", "weighted", "undirected", "no edges"])
def test_differentiable_twice(name: str, backend: str) -> None:
    given = leaves(flat(ZOO[name]))
    given["num_clusters"] = torch.tensor([4, 2, 3])[: given["batch_size"]]

    def adjacency(s: Tensor) -> Tensor:
        options = {**given, "s": s, "backend": backend}
        return diff_pool(**options, **NORMALIZED).adj

    assert torch.autograd.gradcheck(adjacency, given["s"])
    assert torch.autograd.gradgradcheck(adjacency, given["s"])


@pytest.mark.parametrize("name", ["ordinary", "weighted", "empty graph first"])
def test_padded_graphs_equal_sparse_ones(name: str) -> None:
    out = diff_pool(**padded(ZOO[name]), **NORMALIZED)
    assert_close(out.adj, pool(ZOO[name], **NORMALIZED).adj)


def test_all_else_is_as_with_the_raw_one() -> None:
    out, raw = pool(ZOO["weighted"], **NORMALIZED), pool(ZOO["weighted"])
    for field in ("x", "mask", "assignment", "gram", "link_loss", "entropy_loss"):
        assert_close(getattr(out, field), getattr(raw, field), rtol=0, atol=0)


def test_of_an_undirected_graph_the_largest_eigenvalue_is_one() -> None:
    adj = pool(ZOO["undirected"], **NORMALIZED).adj
    assert not adj.diagonal(dim1=1, dim2=2).any()
    largest = torch.linalg.eigvalsh(adj).amax(1)
    assert_close(largest, torch.ones_like(largest))


@pytest.mark.parametrize("scale", [1e-12, 1e30])
@pytest.mark.parametrize("sharpness", [1.0, 30.0])
def test_scale_of_the_weights_changes_nothing(sharpness: float, scale: float) -> None:
    given = ZOO["ordinary"].to(torch.float32)
    results = []
    for factor in (1.0, scale):
        s = (sharpness * given.s).requires_grad_()
        weight = torch.full((given.edge_index.size(1),), factor)
        edges = {"edge_weight": weight, "batch": given.batch}
        out = diff_pool(given.x, given.edge_index, s, **edges, **NORMALIZED)
        factors = torch.arange(out.adj.numel()).cos().view_as(out.adj)
        (grad,) = torch.autograd.grad((out.adj * factors).sum(), s)
        assert grad.isfinite().all()
        results.append((out.adj, grad))
    assert_close(*results, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("sharpness", "weight"), [(200.0, 1.0), (30.0, 1e-30)])
def test_gradients_stay_finite_where_entries_underflow(
    sharpness: float, weight: float
) -> None:
    given = ZOO["ordinary"].to(torch.float32)
    s = (sharpness * given.s).requires_grad_()
    weights = torch.full((given.edge_index.size(1),), weight)
    edges = {"edge_weight": weights, "batch": given.batch}
    adj = diff_pool(given.x, given.edge_index, s, **edges, **NORMALIZED).adj
    factors = torch.arange(adj.numel()).cos().view_as(adj)
    (grad,) = torch.autograd.grad((adj * factors).sum(), s, create_graph=True)
    (second,) = torch.autograd.grad(grad.square().sum(), s)
    assert grad.isfinite().all()
    assert second.isfinite().all()


def test_given_clusters_without_an_edge_between_them() -> None:
    edges = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
    weight = torch.ones(4, requires_grad=True)
    clusters = torch.tensor([0, 0, 1, 1])
    options = {"edge_weight": weight, "num_clusters": 3}
    out = diff_pool(torch.ones(4, 1), edges, clusters, **options, **NORMALIZED)
    assert_close(out.adj, torch.zeros(1, 3, 3))
    (grad,) = torch.autograd.grad(out.adj.sum(), weight)
    assert_close(grad, torch.zeros(4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    given = ZOO["very uneven"].to(dtype)
    adj = pool(given, **NORMALIZED).adj
    assert adj.dtype == dtype
    exact = pool(given.to(torch.double), **NORMALIZED).adj
    assert_close(adj.double(), exact, rtol=0, atol=1e-2)


def test_every_level_of_the_network() -> None:
    torch.manual_seed(0)
    net = DiffPoolNet(3, 8, 2, [4, 3], num_layers=2, **NORMALIZED).double()
    out = net(**layer_arguments(ZOO["ordinary"]))
    assert repr(net).count("pooled_adj='normalized'") == 2
    first, second = out.levels
    s = first.assignment
    for b, adj in enumerate(first.adj):
        nodes = (ZOO["ordinary"].batch == b).nonzero().flatten()
        weight = ZOO["ordinary"].weights
        a = reference.adjacency(ZOO["ordinary"].edge_index, weight, nodes)
        expected = reference.normalized(s[nodes].t() @ a @ s[nodes])
        assert_close(adj, expected)
        s2 = second.assignment[b]
        assert_close(second.adj[b], reference.normalized(s2.t() @ adj @ s2))


def test_the_layer_says_that_it_is_not_raw() -> None:
    assert repr(DiffPool(**NORMALIZED)) == "DiffPool(pooled_adj='normalized')"
    assert repr(DiffPool()) == "DiffPool()"
