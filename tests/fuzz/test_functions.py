"""The functions around the operator, and the network."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

import reference
from fuzz.cases import (
    WRONG_FLOATS,
    WRONG_INDICES,
    Arguments,
    any_of,
    assert_refused,
    flat,
    options,
    put,
    still_refused,
)
from fuzz.test_operator import padded, samples
from graphs import sample
from pyg_diffpool import (
    DiffPoolNet,
    dense_diff_pool,
    readout,
    to_flat,
    to_padded,
    unpool,
)

REDUCE = ["sum", "mean", "max"]
# As in PyG, one adjacency may stand for all, and a mask casts logits to `x`'s dtype.
DENSE = {k: v for k, v in WRONG_FLOATS.items() if k != "a row less"}
LOGITS = {k: v for k, v in WRONG_FLOATS.items() if k != "another dtype"}


def wrong(name: str, ways: dict = WRONG_FLOATS) -> dict:
    return {f"{name} {kind}": put(name, way) for kind, way in ways.items()}


def flat_arguments(seed: int = 0) -> Arguments:
    out = flat(sample([3, 4], 1.0, k=6, weighted=True, seed=seed))
    del out["s"]
    out["edge_index"] = out.pop("adj")
    return out


def unpooled(seed: int = 0) -> Arguments:
    given = sample([3, 4], 1.0, k=6, seed=seed)
    x = torch.randn(2, 6, 3, dtype=torch.double)
    return {"x": x, "assignment": given.s.softmax(-1), "batch": given.batch}


def rows(seed: int = 0) -> Arguments:
    given = sample([3, 4], seed=seed)
    return {"x": given.x, "batch": given.batch, "batch_size": 2}


def blocks(seed: int = 0) -> Arguments:
    out = padded(sample([3, 4], 1.0, k=6, weighted=True, seed=seed))
    return {name: out[name] for name in ("x", "adj", "mask")}


def dense(seed: int = 0) -> Arguments:
    return padded(sample([3, 4], 1.0, k=6, weighted=True, seed=seed))


BATCH = {
    "batch_size=0": lambda a: a.update(batch_size=0),
    "batch_size=1": lambda a: a.update(batch_size=1),
    "batch_size='2'": lambda a: a.update(batch_size="2"),
    **wrong("batch", WRONG_INDICES),
    "batch short": put("batch", lambda t: t[1:]),
}
ANY_ROWS = {k: v for k, v in WRONG_FLOATS.items() if k != "another dtype"}
CASES = {
    "to_padded": (
        to_padded,
        flat_arguments,
        {
            **wrong("x"),
            **wrong("edge_index", WRONG_INDICES),
            **wrong("edge_weight"),
            **BATCH,
            "max_num_nodes=3": lambda a: a.update(max_num_nodes=3),
            "max_num_nodes=0": lambda a: a.update(max_num_nodes=0),
            "max_num_nodes=-1": lambda a: a.update(max_num_nodes=-1),
            "max_num_nodes=4.5": lambda a: a.update(max_num_nodes=4.5),
            "no nodes": lambda a: a.update(
                x=a["x"][:0], batch=a["batch"][:0], edge_index=a["edge_index"][:, :0]
            ),
        },
    ),
    "to_flat": (
        to_flat,
        blocks,
        {
            **wrong("x"),
            **wrong("adj"),
            "mask float": put("mask", lambda t: t.float()),
            "mask short": put("mask", lambda t: t[:, 1:]),
            "mask a list": put("mask", lambda t: t.tolist()),
        },
    ),
    "unpool": (
        unpool,
        unpooled,
        {
            **wrong("x", {k: v for k, v in WRONG_FLOATS.items() if k != "a row more"}),
            **wrong("assignment"),
            **wrong("batch", WRONG_INDICES),
            "clusters less": put("x", lambda t: t[:, 1:]),
            "graphs less": put("x", lambda t: t[1:]),
        },
    ),
    "readout": (
        readout,
        rows,
        {
            **wrong("x", ANY_ROWS),
            **BATCH,
            "reduce='min'": lambda a: a.update(reduce="min"),
            "reduce=None": lambda a: a.update(reduce=None),
            "a mask": lambda a: a.update(mask=torch.ones(7, dtype=torch.bool)),
        },
    ),
    "readout of blocks": (
        readout,
        lambda seed=0: {k: v for k, v in blocks(seed).items() if k != "adj"},
        {
            **wrong("x", ANY_ROWS),
            "mask float": put("mask", lambda t: t.float()),
            "mask short": put("mask", lambda t: t[:, 1:]),
            "mask a list": put("mask", lambda t: t.tolist()),
            "batch": lambda a: a.update(batch=torch.zeros(3, dtype=torch.long)),
        },
    ),
    "dense_diff_pool": (
        dense_diff_pool,
        dense,
        {  # one row for all graphs is no mistake, as in PyG
            **wrong("x", DENSE),
            **wrong("adj", DENSE),
            **wrong("s", {k: v for k, v in LOGITS.items() if k in DENSE}),
            "mask short": put("mask", lambda t: t[:, 1:]),
            "mask a list": put("mask", lambda t: t.tolist()),
            "adj not square": put("adj", lambda t: t[:, :, 1:]),
            "rows less": put("x", lambda t: t[:, 1:]),
            "logits less": put("s", lambda t: t[:, 1:]),
            "no clusters": put("s", lambda t: t[:, :, :0]),
            "no graphs": lambda a: a.update(
                x=a["x"][:0], adj=a["adj"][:0], s=a["s"][:0], mask=None
            ),
            "no rows": lambda a: a.update(
                x=a["x"][:, :0], adj=a["adj"][:, :0, :0], s=a["s"][:, :0], mask=None
            ),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_wrong_argument_is_refused(name: str) -> None:
    function, make, changes = CASES[name]
    assert_refused(function, make, changes)


@pytest.mark.parametrize("name", CASES)
@options(250)
@given(data=st.data(), seed=st.integers(0, 99))
def test_several_wrong_arguments_are_refused(name, data, seed) -> None:
    function, make, changes = CASES[name]
    still_refused(function, make(seed), changes, data.draw(any_of(changes)))


NET = {
    **wrong("x"),
    "x too wide": put("x", lambda t: torch.cat([t, t], 1)),
    **wrong("adj", WRONG_INDICES),
    **wrong("edge_weight"),
    **BATCH,
}
TYPED = {
    **wrong("x", {k: v for k, v in WRONG_INDICES.items() if k != "int32"}),
    "x too wide": put("x", lambda t: torch.cat([t, t], 1)),
    "x float": put("x", lambda t: t.float()),
    "x just too large": put("x", lambda t: t + torch.tensor([0, 5])),
}


def net_arguments(seed: int = 0, typed: bool = False) -> Arguments:
    out = flat(sample([3, 4], 1.0, weighted=True, seed=seed).to(torch.float))
    del out["s"]
    return {**out, "x": torch.arange(14).view(7, 2) % 4} if typed else out


@pytest.mark.parametrize("typed", [False, True], ids=["floats", "types"])
def test_every_wrong_argument_of_the_network_is_refused(typed: bool) -> None:
    net = DiffPoolNet([4, 5] if typed else 3, 8, 2, num_clusters=[4, 2])
    assert_refused(net, lambda: net_arguments(typed=typed), TYPED if typed else NET)


@options(750)
@given(samples, st.sampled_from([[1], [3], [4, 2]]), st.sampled_from([None, 0.3]))
def test_the_network_is_finite(drawn, num_clusters, ratio) -> None:
    torch.manual_seed(0)
    net = DiffPoolNet(drawn.x.size(1), 4, 2, num_clusters, ratio=ratio, num_layers=2)
    arguments = flat(drawn.to(torch.float))
    del arguments["s"]
    out = net(**arguments)
    assert out.out.shape == (drawn.batch_size, 2)
    (out.out.sum() + out.link_loss + out.entropy_loss).backward()
    for tensor in (out.out, *(p.grad for p in net.parameters() if p.grad is not None)):
        assert tensor.isfinite().all()


@options(500)
@given(samples, st.booleans())
def test_padded_and_back(drawn, wide: bool) -> None:
    m = 12 if wide else None
    given_ = (drawn.x, drawn.edge_index, drawn.batch, drawn.edge_weight)
    blocks_ = to_padded(*given_, max_num_nodes=m, batch_size=drawn.batch_size)
    back = to_flat(*blocks_)
    assert_close(back.x, drawn.x)
    assert torch.equal(back.batch, drawn.batch)
    weight = drawn.edge_weight
    if weight is None:
        weight = torch.ones(drawn.edge_index.size(1), dtype=torch.double)
    nodes = torch.arange(len(drawn.x))
    expected = reference.adjacency(drawn.edge_index, weight, nodes)
    got = reference.adjacency(back.edge_index, back.edge_weight, nodes)
    assert_close(got, expected)


@options(500)
@given(samples, st.sampled_from(REDUCE), st.sampled_from([1.0, 1e-30, 1e12]))
def test_readout_is_that_of_every_graph(drawn, reduce, size) -> None:
    x = drawn.x * size
    out = readout(x, drawn.batch, batch_size=drawn.batch_size, reduce=reduce)
    x_blocks, _, mask = to_padded(
        x, drawn.edge_index, drawn.batch, batch_size=drawn.batch_size
    )
    from_blocks = readout(x_blocks, mask=mask, reduce=reduce)
    for b in range(drawn.batch_size):
        own = x[drawn.batch == b]
        right = {
            "sum": lambda own=own: own.sum(0),
            "mean": lambda own=own: own.mean(0),
            "max": lambda own=own: own.amax(0),
        }[reduce]
        expected = right() if len(own) else torch.zeros(x.size(1), dtype=x.dtype)
        assert_close(out[b], expected)
        assert_close(from_blocks[b], expected)


@options(500)
@given(samples, st.floats(0.0, 30.0))
def test_dense_diff_pool_with_and_without_padding(drawn, size) -> None:
    arguments = padded(drawn)
    arguments["s"] = arguments["s"] * size
    x, adj, link_loss, entropy_loss = dense_diff_pool(**arguments)
    batch_size = x.size(0)
    expected = reference.diff_pool(
        drawn.x,
        drawn.edge_index,
        drawn.s * size,
        edge_weight=drawn.edge_weight,
        batch=drawn.batch,
        batch_size=batch_size,
        normalize="padded",
    )
    assert_close(x, expected.x)
    assert_close(adj, expected.adj)
    assert_close(link_loss, expected.link_loss, rtol=1e-6, atol=1e-7)
    assert_close(entropy_loss, expected.entropy_loss)
