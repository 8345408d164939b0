"""`diff_pool` against the oracle, by value and by gradient."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import reference
from graphs import ZOO, Sample, pool
from pyg_diffpool import _level, _ragged, diff_pool, operator, to_padded
from pyg_diffpool._minibatch import flat_graph

BACKENDS = ["sparse", "padded"]
RESULTS = ["x", "adj", "assignment", "link_loss", "entropy_loss"]


def leaves(sample: Sample) -> list[Tensor]:
    tensors = [sample.x, sample.s, sample.edge_weight]
    return [t.requires_grad_() for t in tensors if t is not None]


def cloned(sample: Sample) -> Sample:
    weight = sample.edge_weight
    return replace(
        sample,
        x=sample.x.clone(),
        s=sample.s.clone(),
        edge_weight=None if weight is None else weight.clone(),
    )


def oracle(sample: Sample, **options: object) -> reference.Reference:
    return reference.diff_pool(
        sample.x,
        sample.edge_index,
        sample.s,
        sample.edge_weight,
        sample.batch,
        sample.batch_size,
        **options,
    )


def scalar(results: object, names: list[str] = RESULTS) -> Tensor:
    """One number that hangs on every entry of every result."""
    generator = torch.Generator().manual_seed(3)
    total = torch.zeros((), dtype=torch.double)
    for name in names:
        value = getattr(results, name)
        factor = torch.rand(value.shape, generator=generator, dtype=torch.double)
        total = total + (value * factor).sum()
    return total


@pytest.mark.parametrize("normalize", [True, False, "padded"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ZOO)
def test_equals_oracle(name: str, backend: str, normalize: bool | str) -> None:
    ours, theirs = cloned(ZOO[name]), cloned(ZOO[name])
    inputs, expected_inputs = leaves(ours), leaves(theirs)
    out = pool(ours, backend=backend, normalize=normalize)
    expected = oracle(theirs, normalize=normalize)
    for field in [*RESULTS, "mask"]:
        torch.testing.assert_close(getattr(out, field), getattr(expected, field))
    grads = torch.autograd.grad(scalar(out), inputs)
    expected_grads = torch.autograd.grad(scalar(expected), expected_inputs)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected_grad)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["ordinary", "repeated, weighted"])
def test_equals_oracle_where_the_level_goes_block_by_block(
    name: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_level, "BLOCK", 8)
    test_equals_oracle(name, backend, normalize=True)


def test_a_kept_assignment_keeps_nothing_else() -> None:
    with torch.no_grad():
        assignment = pool(ZOO["ordinary"], backend="sparse").assignment
    assert assignment.untyped_storage().nbytes() == 8 * assignment.numel()


@pytest.mark.parametrize("backend", BACKENDS)
def test_losses_of_no_number_are_none(backend: str) -> None:
    sample = cloned(ZOO["ordinary"])
    sample.s[0, 0] = float("nan")
    out = pool(sample, backend=backend)
    assert out.link_loss.isnan()
    assert out.entropy_loss.isnan()


@pytest.mark.parametrize("name", ZOO)
def test_bce_of_the_padded_backend_equals_oracle(name: str) -> None:
    ours, theirs = cloned(ZOO[name]), cloned(ZOO[name])
    inputs, expected_inputs = leaves(ours), leaves(theirs)
    out = pool(ours, backend="padded", link="bce")
    expected = oracle(theirs, link="bce")
    torch.testing.assert_close(out.link_loss, expected.link_loss)
    grads = torch.autograd.grad(out.link_loss, inputs[1:])
    expected_grads = torch.autograd.grad(expected.link_loss, expected_inputs[1:])
    torch.testing.assert_close(grads, expected_grads)


def test_sampled_bce_is_unbiased() -> None:
    sample = ZOO["weighted"]
    exact = pool(sample, backend="padded", link="bce").link_loss
    torch.manual_seed(0)
    draws = torch.stack(
        [pool(sample, backend="sparse", link="bce").link_loss for _ in range(3000)]
    )
    error = draws.std() / len(draws) ** 0.5
    assert draws.std() > 0
    assert abs(draws.mean() - exact) < 4 * error


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ZOO)
def test_cluster_budget(name: str, backend: str) -> None:
    sample = cloned(ZOO[name])
    k, sizes = sample.s.size(1), sample.batch.bincount(minlength=sample.batch_size)
    budget = torch.minimum(sizes.clamp(min=0), torch.tensor(max(k - 1, 1)))
    out = pool(sample, backend=backend, num_clusters=budget)
    expected = oracle(sample, num_clusters=budget.tolist())
    for field in [*RESULTS, "mask"]:
        torch.testing.assert_close(getattr(out, field), getattr(expected, field))
    assert not out.x[~out.mask].any()
    assert not out.adj[~out.mask].any()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["ordinary", "weighted", "very uneven"])
def test_lower_precisions(name: str, dtype: torch.dtype, backend: str) -> None:
    sample = ZOO[name].to(dtype)
    out = pool(sample, backend=backend)
    expected = oracle(sample)
    tolerance = {
        torch.float32: {"rtol": 1e-5, "atol": 1e-5},
        torch.float16: {"rtol": 2e-3, "atol": 2e-3},
        torch.bfloat16: {"rtol": 1e-2, "atol": 1e-2},
    }[dtype]
    for field in ["x", "adj", "assignment"]:
        value = getattr(out, field)
        assert value.dtype == dtype
        torch.testing.assert_close(
            value.double(), getattr(expected, field), **tolerance
        )
    for field in ["link_loss", "entropy_loss"]:
        value = getattr(out, field)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), getattr(expected, field))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["ordinary", "undirected", "repeated, weighted"])
def test_gradcheck(name: str, backend: str) -> None:
    sample = cloned(ZOO[name])
    inputs = leaves(sample)

    def results(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(["x", "s", "edge_weight"], tensors, strict=False))
        out = pool(replace(sample, **given), backend=backend)
        return tuple(getattr(out, field) for field in RESULTS)

    assert torch.autograd.gradcheck(results, inputs)
    assert torch.autograd.gradgradcheck(results, inputs)


@pytest.mark.parametrize("name", ZOO)
def test_padded_input_equals_flat_input(name: str) -> None:
    sample = ZOO[name]
    padded = to_padded(
        sample.x,
        sample.edge_index,
        sample.batch,
        sample.edge_weight,
        batch_size=sample.batch_size,
    )
    s = to_padded(
        sample.s, sample.edge_index, sample.batch, batch_size=sample.batch_size
    ).x
    out = diff_pool(padded.x, padded.adj, s, mask=padded.mask)
    expected = pool(sample)
    for field in ["x", "adj", "mask", "link_loss", "entropy_loss"]:
        torch.testing.assert_close(getattr(out, field), getattr(expected, field))
    torch.testing.assert_close(out.assignment[padded.mask], expected.assignment)


def test_padding_changes_nothing_even_if_it_holds_garbage() -> None:
    sample = ZOO["weighted"]
    x, adj, mask = to_padded(
        sample.x, sample.edge_index, sample.batch, sample.edge_weight
    )
    s = to_padded(sample.s, sample.edge_index, sample.batch).x
    expected = diff_pool(x, adj, s, mask=mask)
    extra, nan = 4, float("nan")
    x, s = (torch.nn.functional.pad(t, (0, 0, 0, extra), value=nan) for t in (x, s))
    adj = torch.nn.functional.pad(adj, (0, extra, 0, extra), value=nan)
    mask = torch.nn.functional.pad(mask, (0, extra))
    out = diff_pool(x, adj, s, mask=mask)
    for field in ["x", "adj", "mask", "link_loss", "entropy_loss"]:
        torch.testing.assert_close(getattr(out, field), getattr(expected, field))


@pytest.mark.parametrize("backend", BACKENDS)
def test_hard_clusters(backend: str) -> None:
    sample = ZOO["ordinary"]
    clusters = sample.s.argmax(-1)
    out = pool(replace(sample, s=clusters), backend=backend, num_clusters=4)
    one_hot = torch.nn.functional.one_hot(clusters, 4).double()
    torch.testing.assert_close(out.assignment, one_hot)
    expected = oracle(replace(sample, s=1e6 * one_hot))
    torch.testing.assert_close(out.x, expected.x)
    torch.testing.assert_close(out.adj, expected.adj)
    torch.testing.assert_close(out.link_loss, expected.link_loss)
    assert out.entropy_loss == 0


def test_repr_shows_shapes() -> None:
    assert "x=[3, 4, 3], adj=[3, 4, 4], mask=[3, 4]" in repr(pool(ZOO["ordinary"]))


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("name", ["ordinary", "undirected", "weighted", "very uneven"])
def test_float32_gradients(
    name: str, grouped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not grouped:
        monkeypatch.setattr(_ragged, "HAS_GROUPED_MM", False)
    ours, theirs = ZOO[name].to(torch.float32), cloned(ZOO[name])
    inputs, expected_inputs = leaves(ours), leaves(theirs)
    grads = torch.autograd.grad(scalar(pool(ours, backend="sparse")), inputs)
    expected = torch.autograd.grad(scalar(oracle(theirs)), expected_inputs)
    for grad, expected_grad in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad.double(), expected_grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_deterministic_algorithms(backend: str) -> None:
    torch.use_deterministic_algorithms(True)
    try:
        results = []
        for _ in range(2):
            sample = ZOO["repeated, weighted"].to(torch.float32)
            inputs = leaves(sample)
            out = pool(sample, backend=backend)
            grads = torch.autograd.grad(scalar(out), inputs)
            results.append([getattr(out, f).detach() for f in RESULTS] + [*grads])
    finally:
        torch.use_deterministic_algorithms(False)
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)


def test_auto_takes_padding_for_tiny_even_graphs_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
def test_auto_takes_padding_for_32_nodes_by_clusters_and_edges(
    k: int, linked: float, backend: str
) -> None:
    pairs = torch.cartesian_prod(torch.arange(32), torch.arange(32)).t()
    edges = pairs[:, : int(linked * pairs.size(1))]
    graph = flat_graph(torch.zeros(32, 1), edges)
    assert operator._takes_padding(graph, k, "auto") == (backend == "padded")
