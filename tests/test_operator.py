"""`diff_pool` against the oracle, by value and by gradient."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

import reference
from graphs import (
    BACKENDS,
    RESULTS,
    ZOO,
    assert_same,
    flat,
    gradients,
    leaves,
    pad,
    padded,
    pool,
    total,
)
from pyg_diffpool import _level, _ragged, diff_pool, operator
from pyg_diffpool._minibatch import flat_graph

NAMES = ["ordinary", "weighted", "repeated, weighted", "very uneven"]
CHOICES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "not divided": {"normalize": False},
    "divided as padded": {"normalize": "padded"},
    "bce": {"link": "bce"},
    "budget": {},
    "normalized": {"pooled_adj": "normalized"},
    "normalized, budget, mean edge features": {
        "pooled_adj": "normalized",
        "edge_reduce": "mean",
    },
    "edge features": {"edge_reduce": "sum"},
    "mean edge features": {"edge_reduce": "mean"},
    "mean edge features, budget": {"edge_reduce": "mean"},
}


def make(name, choice, features=5):
    """Arguments of `diff_pool` and of the oracle, of which the floats are leaves."""
    sample = ZOO[name].positive if "mean" in choice else ZOO[name]
    given = {**flat(sample), **CHOICES[choice]}
    if "budget" in choice:
        k, sizes = sample.s.size(1), sample.batch.bincount(minlength=sample.batch_size)
        given["num_clusters"] = sizes.clamp(max=max(k - 1, 1))
    if "features" in choice:
        generator = torch.Generator().manual_seed(7)
        shape = sample.edge_index.size(1), features
        given["edge_attr"] = torch.randn(shape, generator=generator).double()
    return leaves(given)


def results_of(given):
    return RESULTS + ["edge_attr"] * ("edge_attr" in given)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ZOO)
def test_equals_oracle(name, backend, choice):
    if choice == "bce" and backend == "sparse":
        pytest.skip("draws pairs of nodes, see below")
    ours, theirs = make(name, choice), make(name, choice)
    out, expected = diff_pool(**ours, backend=backend), reference.diff_pool(**theirs)
    for field in [*results_of(ours), "mask"]:
        assert_close(getattr(out, field), getattr(expected, field))
    totals = (total(o, results_of(ours)) for o in (out, expected))
    assert_close(*map(gradients, totals, (ours, theirs)))
    assert not out.x[~out.mask].any()
    assert not out.adj[~out.mask].any()
    assert out.edge_attr is None or not out.edge_attr[~out.mask].any()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["ordinary", "repeated, weighted"])
@pytest.mark.parametrize("block", [8, 40])
def test_equals_oracle_block_by_block(block, name, backend, monkeypatch):
    monkeypatch.setattr(_level, "BLOCK", block)
    test_equals_oracle(name, backend, "edge features")


@pytest.mark.parametrize("choice", ["as it is", "edge features", "mean edge features"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["ordinary", "undirected", "repeated, weighted"])
def test_gradcheck(name, backend, choice):
    given = make(name, choice, features=1)
    names = [n for n, value in given.items() if getattr(value, "requires_grad", False)]
    fields = RESULTS if choice == "as it is" else ["edge_attr"]

    def results(*tensors):
        changed = dict(zip(names, tensors, strict=True))
        out = diff_pool(**{**given, **changed}, backend=backend)
        return tuple(getattr(out, field) for field in fields)

    inputs = [given[name] for name in names]
    assert torch.autograd.gradcheck(results, inputs)
    assert torch.autograd.gradgradcheck(results, inputs, fast_mode=True)


DTYPES = {  # tolerances: of results, and of gradients
    torch.float32: (1e-5, 1e-4),
    torch.float16: (2e-3, 2e-2),
    torch.bfloat16: (1e-2, 1e-1),
}


@pytest.mark.parametrize("way", ["grouped", "tiles", "padded"])
@pytest.mark.parametrize("choice", ["edge features", "mean edge features"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*NAMES, "undirected"])
def test_lower_precisions(name, dtype, choice, way, monkeypatch):
    if way == "tiles":
        monkeypatch.setattr(_ragged, "HAS_GROUPED_MM", False)
    exact, (close, closer) = make(name, choice), DTYPES[dtype]
    is_leaf = {k: getattr(v, "requires_grad", False) for k, v in exact.items()}
    given = leaves({k: v.to(dtype) if is_leaf[k] else v for k, v in exact.items()})
    wide = leaves({k: v.double() if is_leaf[k] else v for k, v in given.items()})
    out = diff_pool(**given, backend="padded" if way == "padded" else "sparse")
    expected = reference.diff_pool(**wide)
    for field in ["x", "adj", "assignment", "edge_attr"]:
        value = getattr(out, field)
        assert value.dtype == dtype
        tolerance = {"rtol": close, "atol": 5 * close}
        assert_close(value.double(), getattr(expected, field), **tolerance)
    for field in ["link_loss", "entropy_loss"]:
        assert getattr(out, field).dtype == torch.float32
        assert_close(getattr(out, field).double(), getattr(expected, field))
    fields = results_of(given)
    found = gradients(total(out, fields), given)
    for grad, right in zip(
        found, gradients(total(expected, fields), wide), strict=True
    ):
        assert_close(grad.double(), right, rtol=closer, atol=closer)


@pytest.mark.parametrize("choice", ["as it is", "edge features", "mean edge features"])
@pytest.mark.parametrize("name", ZOO)
def test_padding_changes_nothing_even_if_it_holds_nan(name, choice):
    if "repeated" in name and choice != "as it is":
        pytest.skip("in a dense block they have become one")
    given, blocks = make(name, choice), padded(ZOO[name])
    if "mean" in choice:
        blocks = padded(ZOO[name].positive)
    options = {**CHOICES[choice], "mask": blocks.pop("mask")}
    if "features" in choice:
        m, (i, j) = blocks["x"].size(1), given["adj"]
        start = given["batch"].bincount(minlength=given["batch_size"]).cumsum(0)
        start = torch.cat([start.new_zeros(1), start])[given["batch"]]
        attr = torch.zeros(given["batch_size"], m, m, 5).double()
        at = given["batch"][i], i - start[i], j - start[j]
        blocks["edge_attr"] = attr.index_put(at, given["edge_attr"].detach())
    extra, nan = 2, float("nan")
    rows, both = (0, 0, 0, extra), (0, extra, 0, extra)
    margins = {"x": rows, "s": rows, "adj": both, "edge_attr": (0, 0, *both)}
    mask = torch.nn.functional.pad(options["mask"], (0, extra))
    with_nan = {
        k: torch.nn.functional.pad(v, margins[k], value=nan) for k, v in blocks.items()
    }
    expected = diff_pool(**given)
    fields = [f for f in results_of(given) if f != "assignment"]
    wanted = gradients(total(expected, fields), given, "s")
    for changed in ({}, {**with_nan, "mask": mask}):
        ours = leaves({**blocks, **options, **changed})
        out = diff_pool(**ours)
        for field in [*fields, "mask"]:
            assert_close(getattr(out, field), getattr(expected, field))
        assert_close(out.assignment[ours["mask"]], expected.assignment)
        (grad,) = gradients(total(out, fields), ours, "s")
        assert_close(grad[ours["mask"]], *wanted)
        assert not grad[~ours["mask"]].any()


def test_a_dense_graph_alone_needs_no_dimension_for_the_batch():
    sample = ZOO["one-way path"]
    blocks = {**padded(sample), "edge_attr": pad(sample, sample.x).adj.unsqueeze(-1)}
    one = {name: t.squeeze(0) for name, t in blocks.items() if name != "mask"}
    out, expected = diff_pool(**one), diff_pool(**blocks)
    assert_same(out, expected)
    assert_close(out.edge_attr, expected.edge_attr)
    assert_same(out, diff_pool(sample.x, sample.edge_index, sample.s))


def test_a_kept_assignment_keeps_nothing_else():
    with torch.no_grad():
        assignment = pool(ZOO["ordinary"], backend="sparse").assignment
    assert assignment.untyped_storage().nbytes() == 8 * assignment.numel()


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_in_the_logits_is_nan_in_both_losses(backend):
    s = ZOO["ordinary"].s.clone()
    s[0, 0] = float("nan")
    out = pool(replace(ZOO["ordinary"], s=s), backend=backend)
    assert out.link_loss.isnan()
    assert out.entropy_loss.isnan()


def test_sampled_bce_is_unbiased():
    exact = pool(ZOO["weighted"], backend="padded", link="bce").link_loss
    torch.manual_seed(0)
    options = {"backend": "sparse", "link": "bce"}
    draws = [pool(ZOO["weighted"], **options).link_loss for _ in range(3000)]
    draws = torch.stack(draws)
    error = draws.std() / len(draws) ** 0.5
    assert draws.std() > 0
    assert abs(draws.mean() - exact) < 4 * error


@pytest.mark.parametrize("backend", BACKENDS)
def test_hard_clusters(backend):
    sample = ZOO["ordinary"]
    clusters = sample.s.argmax(-1)
    out = pool(replace(sample, s=clusters), backend=backend, num_clusters=4)
    one_hot = torch.nn.functional.one_hot(clusters, 4).double()
    expected = reference.diff_pool(**flat(replace(sample, s=1e6 * one_hot)))
    for field in ["x", "adj", "assignment", "link_loss"]:
        assert_close(getattr(out, field), getattr(expected, field))
    assert out.entropy_loss == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_hard_clusters_sum_the_features_of_the_edges_between_them(backend):
    # Two triangles, clusters {0, 1} and {2}, {3} and {4, 5}; the edge 0 -> 1 twice.
    given = {
        "x": torch.ones(6, 1),
        "adj": torch.tensor([[0, 1, 2, 3, 4, 5, 0], [1, 2, 0, 4, 5, 3, 1]]),
        "s": torch.tensor([0, 0, 1, 0, 1, 1]),
        "batch": torch.tensor([0, 0, 0, 1, 1, 1]),
        "edge_attr": torch.arange(1.0, 8).unsqueeze(-1) * torch.tensor([1.0, 10.0]),
        "backend": backend,
    }
    expected = torch.tensor([[[8.0, 2], [3, 0]], [[0, 4], [6, 5]]])
    out = diff_pool(**given)
    assert_close(out.edge_attr[..., 0], expected)
    assert_close(out.edge_attr[..., 1], 10 * expected)
    weight = torch.tensor([1.0, 1, 1, 1, 1, 1, 3])
    out = diff_pool(**given, edge_weight=weight, edge_reduce="mean")
    expected[0, 0, 0] = (1 * 1 + 3 * 7) / 4
    assert_close(out.edge_attr[..., 0], expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mean_over_next_to_nothing_is_finite(backend):
    drawn = make("ordinary", "mean edge features")
    for scale in (1e1, 2e1, 3e1, 1e2, 1e4):
        given = {**drawn, "x": drawn["x"].float(), "s": scale * drawn["s"].float()}
        given = leaves({**given, "edge_attr": drawn["edge_attr"].float()})
        out = diff_pool(**given, backend=backend).edge_attr
        attr = given["edge_attr"]
        assert (out.amax((0, 1, 2)) <= attr.amax(0) + 1e-4).all()
        assert (out.amin((0, 1, 2)) >= attr.amin(0).clamp(max=0) - 1e-4).all()
        for grad in gradients(out.square().sum(), given, "s", "edge_attr"):
            assert grad.isfinite().all()
            assert grad.abs().max() < 1e3


def test_autocast_mixes_dtypes():
    given = make("weighted", "mean edge features")
    half = {k: v.float() if k in ("x", "edge_attr") else v for k, v in given.items()}
    half |= {"s": given["s"].bfloat16(), "edge_weight": given["edge_weight"].float()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = diff_pool(**half).edge_attr
    expected = reference.diff_pool(**given).edge_attr
    assert_close(out.double(), expected, rtol=0.02, atol=0.02)


def test_repr_shows_shapes():
    out = pool(ZOO["ordinary"])
    assert "x=[3, 4, 3], adj=[3, 4, 4], mask=[3, 4]" in repr(out)
    assert "edge_attr" not in repr(out)
    out = diff_pool(**make("ordinary", "edge features"))
    assert "edge_attr=[3, 4, 4, 5]" in repr(out)


def test_the_way_back_to_a_batch_of_graphs():
    given = make("empty graph at the end", "edge features")
    out = diff_pool(**given, num_clusters=torch.tensor([2, 3, 1]))
    batch, sparse = out.to_batch(), out.to_sparse()
    for name, value in zip(
        ("x", "edge_index", "edge_weight", "batch"), sparse, strict=True
    ):
        assert_close(batch[name], value)
    assert batch.ptr.tolist() == [0, 2, 5, 5]
    assert batch.num_graphs == 3
    # In the order of the edges: back in dense blocks they are what they were.
    i, j = batch.edge_index
    graph, start = batch.batch[i], batch.ptr[batch.batch[i]]
    dense = torch.zeros_like(out.edge_attr)
    dense = dense.index_put((graph, i - start, j - start), batch.edge_attr)
    assert_close(dense, out.edge_attr)
    assert "edge_attr" not in pool(ZOO["ordinary"]).to_batch()


def test_auto_takes_padding_for_tiny_even_graphs_alone(monkeypatch):
    taken = []
    for name in ("sparse_level", "padded_level"):
        way = getattr(operator, name)
        monkeypatch.setattr(
            operator, name, lambda *a, n=name, w=way: (taken.append(n), w(*a))[1]
        )
    for name in ("undirected", "very uneven", "empty graph in the middle"):
        pool(ZOO[name])
    assert taken == ["padded_level", "sparse_level", "padded_level"]


@pytest.mark.parametrize(
    ("k", "linked", "backend"),
    [(32, 0.4, "padded"), (32, 0.6, "sparse"), (8, 0.4, "sparse")],
)
def test_auto_takes_padding_for_32_nodes_by_clusters_and_edges(k, linked, backend):
    pairs = torch.cartesian_prod(torch.arange(32), torch.arange(32)).t()
    edges = pairs[:, : int(linked * pairs.size(1))]
    graph = flat_graph(torch.zeros(32, 1), edges)
    assert operator._takes_padding(graph, k, "auto") == (backend == "padded")


@pytest.mark.parametrize("name", NAMES)
def test_what_padding_holds_changes_nothing(name):
    given = padded(ZOO[name])
    hidden = ~given["mask"]
    held = {
        "x": given["x"].masked_fill(hidden.unsqueeze(2), torch.nan),
        "s": given["s"].masked_fill(hidden.unsqueeze(2), torch.inf),
        "adj": given["adj"].masked_fill(hidden.unsqueeze(1) | hidden.unsqueeze(2), 7),
    }
    first, second = leaves(given), leaves(given | held)
    outs = [diff_pool(**of) for of in (first, second)]
    names = set(RESULTS) - {"assignment"}
    assert_same(*outs)
    grads = [
        gradients(total(o, names), of)
        for o, of in zip(outs, (first, second), strict=True)
    ]
    for found, right in zip(*grads, strict=True):
        assert_close(found, right)


@pytest.mark.parametrize("backend", BACKENDS)
def test_deterministic_algorithms(backend):
    torch.use_deterministic_algorithms(True)
    try:
        runs = []
        for _ in range(2):
            given = make("repeated, weighted", "mean edge features")
            out = diff_pool(**given, backend=backend)
            fields = results_of(given)
            found = gradients(total(out, fields), given)
            runs.append([getattr(out, field) for field in fields] + found)
    finally:
        torch.use_deterministic_algorithms(False)
    assert_close(*runs, rtol=0, atol=0)


def test_edges_between_clusters_that_do_not_exist_have_no_features():
    given = make("ordinary", "edge features")
    out = diff_pool(**given, num_clusters=torch.tensor([1, 2, 1]))
    batch, sparse = out.to_batch(), out.to_sparse()
    assert len(batch.edge_attr) == sparse.edge_index.size(1) > 0
