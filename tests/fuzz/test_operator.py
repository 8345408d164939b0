"""`diff_pool` and `DiffPool` with right and wrong arguments, held to the oracle."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference
from fuzz.cases import (
    WRONG_FLOATS,
    WRONG_INDICES,
    Arguments,
    any_of,
    assert_refused,
    entry,
    flat,
    options,
    put,
    still_refused,
)
from graphs import Sample, sample
from pyg_diffpool import DiffPool, diff_pool, to_padded

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
    seed=st.integers(0, 10**6),
)
magnitudes = st.sampled_from([0.0, 1e-30, 1e-6, 1.0, 1e3, 1e12])


def scaled(drawn: Sample, dtype: torch.dtype, size: list[float]) -> Sample:
    """Other orders of magnitude, as far as the dtype goes."""
    if dtype == torch.half:
        size = [min(max(v, 1e-3), 10.0) for v in size]
    x, s, weight = drawn.x * size[0], drawn.s * size[1], drawn.edge_weight
    weight = None if weight is None else weight * size[2]
    return replace(drawn, x=x, s=s, edge_weight=weight).to(dtype)


def assert_right(out: Any, drawn: Sample, **choices: Any) -> None:
    """Equal to the oracle, within rounding of the terms that are summed."""
    fixed = (drawn.edge_index, drawn.s)
    rest = {"batch": drawn.batch, "batch_size": drawn.batch_size}
    weight = drawn.edge_weight
    expected = reference.diff_pool(
        drawn.x, *fixed, edge_weight=weight, **rest, **choices
    )
    terms = reference.diff_pool(
        drawn.x.abs(),
        *fixed,
        edge_weight=None if weight is None else weight.abs(),
        **rest,
        **choices,
    )
    rounding = TOLERANCE[drawn.x.dtype]
    tiny = torch.finfo(drawn.x.dtype).tiny
    for name in ("x", "adj"):
        got, right = getattr(out, name).double(), getattr(expected, name)
        assert got.isfinite().all()
        assert ((got - right).abs() <= rounding * getattr(terms, name) + tiny).all()
    assert torch.equal(out.mask, expected.mask)
    torch.testing.assert_close(
        out.assignment.double(), expected.assignment, rtol=0, atol=rounding
    )
    loss_rounding = 1e-8 if drawn.x.dtype == torch.double else 1e-2
    for name in ("link_loss", "entropy_loss"):
        got, right = getattr(out, name).double(), getattr(expected, name)
        torch.testing.assert_close(got, right, rtol=loss_rounding, atol=loss_rounding)


@options(2500)
@given(
    samples,
    st.sampled_from(list(TOLERANCE)),
    st.lists(magnitudes, min_size=3, max_size=3),
    st.sampled_from(["sparse", "padded", "auto"]),
    st.sampled_from([True, False, "padded"]),
    st.sampled_from(["none", "int", "tensor"]),
    st.booleans(),
)
def test_right_arguments_give_the_right_answer(
    drawn, dtype, size, backend, normalize, budget, check
) -> None:
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
    choices = {"normalize": normalize}
    if budget != "none":
        choices["num_clusters"] = budgets
    assert_right(out, drawn, **choices)
    (out.link_loss + out.entropy_loss).backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()


WRONG = {
    **{f"x {k}": put("x", v) for k, v in WRONG_FLOATS.items()},
    **{f"s {k}": put("s", v) for k, v in WRONG_FLOATS.items()},
    **{f"weight {k}": put("edge_weight", v) for k, v in WRONG_FLOATS.items()},
    **{f"edges {k}": put("adj", v) for k, v in WRONG_INDICES.items()},
    **{f"batch {k}": put("batch", v) for k, v in WRONG_INDICES.items()},
    **{
        f"{name} {value} checked": lambda a, name=name, value=value: a.update(
            {name: entry(value)(a[name]), "check": True}
        )
        for name in ("x", "s", "edge_weight")
        for value in (float("nan"), float("inf"), -float("inf"))
    },
    "s integer float edges": put("adj", lambda t: t.float()),
    "edges turned": put("adj", lambda t: torch.cat([t, t[:1]])),
    "batch unsorted": put(
        "batch", lambda t: torch.cat([t[-1:] + 1, t[1:], t[:1]])[:-1]
    ),
    "batch too short": put("batch", lambda t: t[1:]),
    "no nodes": lambda a: a.update(
        x=a["x"][:0],
        s=a["s"][:0],
        batch=a["batch"][:0],
        adj=a["adj"][:, :0],
        edge_weight=a["edge_weight"][:0],
    ),
    "no clusters": put("s", lambda t: t[:, :0]),
    "an edge between graphs": put(
        "adj", lambda t: torch.cat([t[:, :-1], torch.tensor([[0], [3]])], 1)
    ),
    "a mask": lambda a: a.update(mask=torch.ones(2, 3, dtype=torch.bool)),
    **{
        f"{name}={value!r}": lambda a, name=name, value=value: a.update({name: value})
        for name, values in {
            "batch_size": [0, -1, 1, "2", 2.5],
            "num_clusters": [
                0,
                -1,
                7,
                2.5,
                "2",
                torch.tensor([1]),
                torch.tensor([1.5, 1.0]),
                torch.tensor([0, 1]),
                torch.tensor([1, 99]),
            ],
            "link": ["mse", None, 1],
            "normalize": ["mean", None, 2],
            "backend": ["dense", None],
        }.items()
        for value in values
    },
}


def connected(seed: int = 0) -> Arguments:
    return flat(sample([3, 4], 1.0, k=6, weighted=True, seed=seed))


@pytest.mark.parametrize("backend", ["sparse", "padded", "auto"])
def test_every_wrong_argument_is_refused(backend) -> None:
    assert_refused(diff_pool, lambda: {"backend": backend, **connected()}, WRONG)


def test_every_wrong_argument_is_refused_by_the_layer() -> None:
    own = ("link", "normalize", "backend", "num_clusters", "nan", "inf")
    wrong = {n: c for n, c in WRONG.items() if not any(word in n for word in own)}
    assert_refused(DiffPool(), connected, wrong)


@options(2000)
@given(any_of(WRONG), st.integers(0, 99), st.sampled_from(["sparse", "padded", "auto"]))
def test_several_wrong_arguments_are_refused(names, seed, backend) -> None:
    arguments = {"backend": backend, **connected(seed)}
    still_refused(diff_pool, arguments, WRONG, names)


PADDED_WRONG = {
    **{f"x {k}": put("x", v) for k, v in WRONG_FLOATS.items()},
    **{f"s {k}": put("s", v) for k, v in WRONG_FLOATS.items()},
    **{f"adj {k}": put("adj", v) for k, v in WRONG_FLOATS.items()},
    "mask float": put("mask", lambda t: t.float()),
    "mask short": put("mask", lambda t: t[:, 1:]),
    "mask flat": put("mask", lambda t: t.flatten()),
    "mask a list": put("mask", lambda t: t.tolist()),
    "adj not square": put("adj", lambda t: t[:, :, 1:]),
    "no rows": lambda a: a.update(
        x=a["x"][:, :0], s=a["s"][:, :0], adj=a["adj"][:, :0, :0], mask=None
    ),
    "no graphs": lambda a: a.update(
        x=a["x"][:0], s=a["s"][:0], adj=a["adj"][:0], mask=None
    ),
    "no clusters": put("s", lambda t: t[..., :0]),
    "edge_weight": lambda a: a.update(edge_weight=torch.ones(3)),
    "batch": lambda a: a.update(batch=torch.zeros(3, dtype=torch.long)),
    "sparse": lambda a: a.update(backend="sparse"),
    "nan checked": lambda a: a.update(adj=entry(float("nan"))(a["adj"]), check=True),
}


def padded(drawn: Sample) -> Arguments:
    x, adj, mask = to_padded(drawn.x, drawn.edge_index, drawn.batch, drawn.edge_weight)
    s, *_ = to_padded(drawn.s, drawn.edge_index, drawn.batch)
    return {"x": x, "adj": adj, "s": s, "mask": mask}


def blocks(seed: int = 0) -> Arguments:
    return padded(sample([3, 4], 1.0, k=6, weighted=True, seed=seed))


def test_every_wrong_block_is_refused() -> None:
    assert_refused(diff_pool, blocks, PADDED_WRONG)


@options(1000)
@given(any_of(PADDED_WRONG), st.integers(0, 99))
def test_several_wrong_blocks_are_refused(names, seed) -> None:
    still_refused(diff_pool, blocks(seed), PADDED_WRONG, names)


@options(500)
@given(
    samples,
    st.sampled_from(list(TOLERANCE)),
    st.lists(magnitudes, min_size=3, max_size=3),
)
def test_right_blocks_give_the_right_answer(drawn, dtype, size) -> None:
    drawn = scaled(drawn, dtype, size)
    arguments = padded(drawn)
    out = diff_pool(**arguments)
    mask = arguments["mask"]
    rows = replace(out, assignment=out.assignment[mask])  # as the oracle has it
    assert_right(rows, replace(drawn, batch_size=len(mask)))


def test_a_level_wants_one_assignment() -> None:
    arguments = flat(sample([3, 4]))
    del arguments["s"]
    with pytest.raises(ValueError, match="either an 'assign' GNN"):
        DiffPool()(**arguments)
