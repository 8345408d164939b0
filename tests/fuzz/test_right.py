"""Right arguments of any size and dtype, held to the oracle and to definitions."""

from dataclasses import replace

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

import reference
from graphs import BACKENDS, assert_same, flat, pad, padded, pool, sample
from pyg_diffpool import diff_pool, unpool


def options(cases):
    """Settings for a test with that many cases; a few by default."""
    few = settings.get_current_profile_name() != "fuzz"
    return settings(
        max_examples=max(cases // 100, 5) if few else cases,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


TOLERANCE = {
    torch.double: 1e-9,
    torch.float: 2e-4,
    torch.bfloat16: 4e-2,
    torch.half: 5e-3,
}
samples = st.builds(
    sample,
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any),
    edges=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    k=st.integers(1, 6),
    channels=st.integers(1, 4),
    weighted=st.booleans(),
    directed=st.booleans(),
    seed=st.integers(0, 10**6),
)
magnitudes = st.sampled_from([0.0, 1e-30, 1e-6, 1.0, 1e3, 1e12])
dtypes = st.sampled_from(list(TOLERANCE))
sizes = st.lists(magnitudes, min_size=3, max_size=3)


def scaled(drawn, dtype, size):
    """Other orders of magnitude, as far as the dtype goes."""
    if dtype == torch.half:
        size = [min(max(v, 1e-3), 10.0) for v in size]
    x, s, weight = drawn.x * size[0], drawn.s * size[1], drawn.edge_weight
    weight = None if weight is None else weight * size[2]
    return replace(drawn, x=x, s=s, edge_weight=weight).to(dtype)


def assert_right(out, drawn, **choices):
    """Equal to the oracle, within rounding of the terms that are summed."""
    expected = reference.diff_pool(**flat(drawn), **choices)
    positive = replace(drawn.positive, x=drawn.x.abs())
    terms = reference.diff_pool(**flat(positive), **choices)
    rounding = TOLERANCE[drawn.x.dtype]
    tiny = torch.finfo(drawn.x.dtype).tiny
    for name in ("x", "adj"):
        got, right = getattr(out, name).double(), getattr(expected, name)
        assert got.isfinite().all()
        assert ((got - right).abs() <= rounding * getattr(terms, name) + tiny).all()
    assert torch.equal(out.mask, expected.mask)
    assert_close(out.assignment.double(), expected.assignment, rtol=0, atol=rounding)
    loss_rounding = 1e-8 if drawn.x.dtype == torch.double else 1e-2
    for name in ("link_loss", "entropy_loss"):
        got, right = getattr(out, name).double(), getattr(expected, name)
        assert_close(got, right, rtol=loss_rounding, atol=loss_rounding)


@options(6000)
@given(
    samples,
    dtypes,
    sizes,
    st.sampled_from([*BACKENDS, "auto"]),
    st.sampled_from([True, False, "padded"]),
    st.sampled_from(["none", "int", "tensor"]),
    st.booleans(),
)
def test_the_operator(drawn, dtype, size, backend, normalize, budget, check):
    drawn = scaled(drawn, dtype, size)
    k = drawn.s.size(1)
    budgets = [1 + (7 * b) % k for b in range(drawn.batch_size)]
    if budget == "int":
        budgets = [budgets[-1]] * drawn.batch_size
    given_budget = {"none": None, "int": budgets[-1], "tensor": torch.tensor(budgets)}
    leaf = drawn.s.clone().requires_grad_()
    out = diff_pool(
        **{**flat(drawn), "s": leaf},
        backend=backend,
        normalize=normalize,
        num_clusters=given_budget[budget],
        check=check,
    )
    rest = {} if budget == "none" else {"num_clusters": budgets}
    assert_right(out, drawn, normalize=normalize, **rest)
    (out.link_loss + out.entropy_loss).backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()


@options(1000)
@given(samples, dtypes, sizes)
def test_the_operator_on_blocks(drawn, dtype, size):
    drawn = scaled(drawn, dtype, size)
    out, mask = diff_pool(**padded(drawn)), padded(drawn)["mask"]
    rows = replace(out, assignment=out.assignment[mask])  # as the oracle has it
    assert_right(rows, drawn)


@options(2000)
@given(samples, st.sampled_from(BACKENDS))
def test_the_order_of_nodes_and_edges_given_twice(drawn, backend):
    order = torch.argsort(torch.rand(drawn.x.size(0)) + drawn.batch)
    edges, weight = order.argsort()[drawn.edge_index], drawn.weights
    other = replace(
        drawn,
        x=drawn.x[order],
        s=drawn.s[order],
        edge_index=edges.repeat(1, 2),
        edge_weight=weight.repeat(2),
    )
    expected = pool(replace(drawn, edge_weight=2 * weight), backend=backend)
    out = pool(other, backend=backend)
    assert_same(out, expected)
    assert_close(out.assignment, expected.assignment[order])


@options(1000)
@given(samples)
def test_unpool_is_the_product_with_s(drawn):
    out = pool(drawn)
    expected = (out.assignment.unsqueeze(1) @ out.x[drawn.batch]).squeeze(1)
    assert_close(unpool(out.x, out.assignment, drawn.batch), expected)
    blocks, mask = pad(drawn, out.assignment).x, padded(drawn)["mask"]
    assert_close(unpool(out.x, blocks)[mask], expected)
