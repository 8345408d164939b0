"""Every function with wrong arguments, one or two at a time: the error is ours."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fuzz.cases import (
    WRONG_FLOATS,
    WRONG_INDICES,
    Change,
    any_of,
    assert_refused,
    entry,
    options,
    put,
    still_refused,
    to,
    wrong,
)
from graphs import BACKENDS, Arguments, Sample, flat, layer_arguments, padded, sample
from pyg_diffpool import (
    DiffPool,
    DiffPoolNet,
    dense_diff_pool,
    diff_pool,
    readout,
    to_flat,
    to_padded,
    unpool,
)

NAN, INF = float("nan"), float("inf")


def without(*names: str) -> dict:
    """Ways to be wrong, less those that are right for some argument."""
    return {k: v for k, v in WRONG_FLOATS.items() if k not in names}


def connected(seed: int = 0) -> Sample:
    return sample([3, 4], 1.0, k=6, weighted=True, seed=seed)


def rename(arguments: Arguments, **names: str) -> Arguments:
    return {names.get(k, k): v for k, v in arguments.items()}


def some(arguments: Arguments, *names: str) -> Arguments:
    return {name: arguments[name] for name in names}


def unpooled(seed: int = 0) -> Arguments:
    given, x = connected(seed), torch.randn(2, 6, 3, dtype=torch.double)
    return {"x": x, "assignment": given.s.softmax(-1), "batch": given.batch}


def net_arguments(seed: int = 0) -> Arguments:
    return layer_arguments(
        sample([3, 4], 1.0, weighted=True, seed=seed).to(torch.float)
    )


def typed_arguments(seed: int = 0) -> Arguments:
    return {**net_arguments(seed), "x": torch.arange(14).view(7, 2) % 4}


def rows(*names: str) -> Change:
    """No rows, and no mask, for these arguments; of the adjacency no columns either."""

    def change(arguments: Arguments) -> None:
        for name in names:
            value = arguments[name]
            arguments[name] = value[:, :0, :0] if name == "adj" else value[:, :0]
        arguments["mask"] = None

    return change


def graphs(*names: str) -> Change:
    """No graphs, and no mask."""

    def change(arguments: Arguments) -> None:
        arguments.update({name: arguments[name][:0] for name in names}, mask=None)

    return change


def nodes(**of_edges: int) -> Change:
    """No nodes; of the arguments of edges this dimension is emptied."""

    def change(arguments: Arguments) -> None:
        for name in ("x", "s", "batch", *of_edges):
            if name in arguments:
                dim = of_edges.get(name, 0)
                arguments[name] = arguments[name].narrow(dim, 0, 0)

    return change


BATCH = {
    **wrong("batch", WRONG_INDICES),
    "batch short": put("batch", lambda t: t[1:]),
    **{f"batch_size={v!r}": to(batch_size=v) for v in (0, -1, 1, "2", 2.5)},
}
MASK = {
    "mask float": put("mask", lambda t: t.float()),
    "mask short": put("mask", lambda t: t[:, 1:]),
    "mask flat": put("mask", lambda t: t.flatten()),
    "mask a list": put("mask", lambda t: t.tolist()),
}
NUMBERS = {
    "num_clusters": [0, -1, 7, 2.5, "2"]
    + [torch.tensor(v) for v in ([1], [1.5, 1.0], [0, 1], [1, 99])],
    "link": ["mse", None, 1],
    "normalize": ["mean", None, 2],
    "backend": ["dense", None],
}
OF_THE_LEVEL = {  # whose layer has no `s` and whose options are the constructor's
    **wrong("x", WRONG_FLOATS),
    **wrong("s", WRONG_FLOATS),
    **wrong("edge_weight", WRONG_FLOATS),
    **wrong("adj", WRONG_INDICES),
    **BATCH,
    "adj float": put("adj", lambda t: t.float()),
    "adj of three rows": put("adj", lambda t: torch.cat([t, t[:1]])),
    "batch unsorted": put(
        "batch", lambda t: torch.cat([t[-1:] + 1, t[1:], t[:1]])[:-1]
    ),
    "no nodes": nodes(adj=1, edge_weight=0),
    "no clusters": put("s", lambda t: t[:, :0]),
    "an edge between graphs": put(
        "adj", lambda t: torch.cat([t[:, :-1], torch.tensor([[0], [3]])], 1)
    ),
    "a mask": to(mask=torch.ones(2, 3, dtype=torch.bool)),
}
OF_THE_OPERATOR = {
    **OF_THE_LEVEL,
    **{
        f"{name} {value} checked": lambda a, n=name, v=value: a.update(
            {n: entry(v)(a[n]), "check": True}
        )
        for name in ("x", "s", "edge_weight")
        for value in (NAN, INF, -INF)
    },
    **{f"{n}={v!r}": to(**{n: v}) for n, values in NUMBERS.items() for v in values},
}
OF_BLOCKS = {
    **wrong("x", WRONG_FLOATS),
    **wrong("s", WRONG_FLOATS),
    **wrong("adj", WRONG_FLOATS),
    **MASK,
    "adj not square": put("adj", lambda t: t[:, :, 1:]),
    "no rows": rows("x", "s", "adj"),
    "no graphs": graphs("x", "s", "adj"),
    "no clusters": put("s", lambda t: t[..., :0]),
    "edge_weight": to(edge_weight=torch.ones(3)),
    "batch": to(batch=torch.zeros(3, dtype=torch.long)),
    "sparse": to(backend="sparse"),
    "nan checked": lambda a: a.update(adj=entry(NAN)(a["adj"]), check=True),
}
OF_THE_NETWORK = {
    "x too wide": put("x", lambda t: torch.cat([t, t], 1)),
    **wrong("adj", WRONG_INDICES),
    **wrong("edge_weight", WRONG_FLOATS),
    **BATCH,
}

Case = tuple[Callable[..., object], Callable[[int], Arguments], dict[str, Change]]
CASES: dict[str, Case] = {
    **{
        f"diff_pool, {backend}": (
            partial(diff_pool, backend=backend),
            lambda seed=0: flat(connected(seed)),
            OF_THE_OPERATOR,
        )
        for backend in [*BACKENDS, "auto"]
    },
    "diff_pool of blocks": (
        diff_pool,
        lambda seed=0: padded(connected(seed)),
        OF_BLOCKS,
    ),
    "DiffPool": (DiffPool(), lambda seed=0: flat(connected(seed)), OF_THE_LEVEL),
    "DiffPoolNet": (
        DiffPoolNet(3, 8, 2, num_clusters=[4, 2]),
        net_arguments,
        {**wrong("x", WRONG_FLOATS), **OF_THE_NETWORK},
    ),
    "DiffPoolNet of types": (
        DiffPoolNet([4, 5], 8, 2, num_clusters=[4, 2]),
        typed_arguments,
        {
            **wrong("x", {k: v for k, v in WRONG_INDICES.items() if k != "int32"}),
            **OF_THE_NETWORK,
            "x float": put("x", lambda t: t.float()),
            "x just too large": put("x", lambda t: t + torch.tensor([0, 5])),
        },
    ),
    "to_padded": (
        to_padded,
        lambda seed=0: rename(layer_arguments(connected(seed)), adj="edge_index"),
        {
            **wrong("x", WRONG_FLOATS),
            **wrong("edge_index", WRONG_INDICES),
            **wrong("edge_weight", WRONG_FLOATS),
            **BATCH,
            **{f"max_num_nodes={v}": to(max_num_nodes=v) for v in (3, 0, -1, 4.5)},
            "no nodes": nodes(edge_index=1),
        },
    ),
    "to_flat": (
        to_flat,
        lambda seed=0: some(padded(connected(seed)), "x", "adj", "mask"),
        {**wrong("x", WRONG_FLOATS), **wrong("adj", WRONG_FLOATS), **MASK},
    ),
    "unpool": (
        unpool,
        unpooled,
        {
            **wrong("x", without("a row more")),
            **wrong("assignment", WRONG_FLOATS),
            **wrong("batch", WRONG_INDICES),
            "clusters less": put("x", lambda t: t[:, 1:]),
            "graphs less": put("x", lambda t: t[1:]),
        },
    ),
    "readout": (
        readout,
        lambda seed=0: some(flat(connected(seed)), "x", "batch", "batch_size"),
        {
            **wrong("x", without("another dtype")),
            **BATCH,
            "reduce='min'": to(reduce="min"),
            "reduce=None": to(reduce=None),
            "a mask": to(mask=torch.ones(7, dtype=torch.bool)),
        },
    ),
    "readout of blocks": (
        readout,
        lambda seed=0: some(padded(connected(seed)), "x", "mask"),
        {
            **wrong("x", without("another dtype")),
            **MASK,
            "batch": to(batch=torch.zeros(3, dtype=torch.long)),
        },
    ),
    # As in PyG, one row may stand for all graphs, and a mask casts logits to `x`'s
    # dtype and may be of floats.
    "dense_diff_pool": (
        dense_diff_pool,
        lambda seed=0: padded(connected(seed)),
        {
            **wrong("x", without("a row less")),
            **wrong("adj", without("a row less")),
            **wrong("s", without("a row less", "another dtype")),
            "mask short": put("mask", lambda t: t[:, 1:]),
            "mask a list": put("mask", lambda t: t.tolist()),
            "adj not square": put("adj", lambda t: t[:, :, 1:]),
            "rows less": put("x", lambda t: t[:, 1:]),
            "logits less": put("s", lambda t: t[:, 1:]),
            "no clusters": put("s", lambda t: t[:, :, :0]),
            "no graphs": graphs("x", "s", "adj"),
            "no rows": rows("x", "s", "adj"),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_wrong_argument_is_refused(name: str) -> None:
    function, make, changes = CASES[name]
    assert_refused(function, make, changes)


@pytest.mark.parametrize("name", CASES)
@options(450)
@given(data=st.data(), seed=st.integers(0, 99))
def test_several_wrong_arguments_are_refused(name, data, seed) -> None:
    function, make, changes = CASES[name]
    still_refused(function, make(seed), changes, data.draw(any_of(changes)))
