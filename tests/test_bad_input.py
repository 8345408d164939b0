"""Every kind of bad input, with what it is told."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy
import pytest
import torch
from torch.nn import Linear
from torch_geometric import nn as pyg

from pyg_diffpool import (
    DiffPool,
    DiffPoolCode2,
    DiffPoolNet,
    dense_diff_pool,
    diff_pool,
    readout,
    to_flat,
    to_padded,
    unpool,
)
from pyg_diffpool.readout import perplexity

GOOD: dict[str, Any] = {
    "x": torch.ones(5, 3),
    "adj": torch.tensor([[0, 1, 3], [1, 2, 4]]),
    "s": torch.ones(5, 2),
    "batch": torch.tensor([0, 0, 0, 1, 1]),
}
DENSE: dict[str, Any] = {
    "x": torch.ones(2, 4, 3),
    "adj": torch.ones(2, 4, 4),
    "s": torch.ones(2, 4, 2),
}
NAN, INF = float("nan"), float("inf")


def edges(*pairs):
    return torch.tensor(pairs).t()


def with_entry(value):
    s = torch.ones(5, 2)
    s[3, 1] = value
    return s


NO_NODES = {"x": torch.ones(0, 3), "adj": torch.zeros(2, 0).long(), "batch": None}
CLUSTERS = torch.tensor([0, 0, 0, 0, 3])

ATTR, BLOCK_ATTR = torch.ones(3, 4), torch.ones(2, 4, 4, 5)
MEAN = {"edge_reduce": "mean"}
NEGATIVE = torch.tensor([1.0, -0.5, 1.0])
FLOATS = torch.tensor([[0.0, 1], [1, 2]])

# By error, what differs from good input, and a part of the message.
BAD_FLAT: dict[type, list[tuple[dict[str, Any], str]]] = {
    ValueError: [
        ({"adj": edges((0, 5))}, "N - 1 = 4 (got 0 to 5)"),
        ({"adj": edges((-1, 0))}, "N - 1 = 4 (got -1 to 0)"),
        ({"adj": torch.zeros(3, 4).long()}, "shape [2, E] (got [3, 4])"),
        ({"adj": torch.zeros(4).long()}, "shape [2, E] (got [4])"),
        ({"adj": edges((0, 2**32 + 1))}, "N - 1 = 4"),
        ({"batch": torch.tensor([0, 1, 0, 1, 1])}, "1 before 0 at position 1"),
        ({"batch": torch.tensor([-1, 0, 0, 1, 1])}, "the negative entry -1"),
        ({"batch": torch.tensor([0, 0, 1, 1])}, "[N] = [5]"),
        ({"batch_size": 1}, "below 'batch_size' = 1 (got 1)"),
        ({"batch_size": 0}, "'batch_size' of at least 1 (got 0)"),
        ({"batch": None, "batch_size": 2}, "'batch' for a 'batch_size' of 2"),
        ({"adj": edges((0, 1), (2, 3))}, "node 2 of graph 0 to node 3 of gr"),
        ({"adj": edges((4, 1), (0, 1))}, "node 4 of graph 1 to node 1 of gr"),
        ({"edge_weight": torch.ones(2)}, "length E = 3 (got 2)"),
        ({"edge_weight": torch.ones(3, 1)}, "[3, 1]). Use 'edge_weight.squeeze(-1)'"),
        ({"mask": torch.ones(2, 3).bool()}, "no 'mask' beside an edge list"),
        (NO_NODES, "at least one node (got 0 nodes)"),
        ({"x": torch.ones(5)}, "2 or 3 dimensions (got 1: [5])"),
        ({"x": torch.ones(5, 3, device="meta")}, "(got 'x' on meta, "),
        ({"s": torch.ones(4, 2)}, "[N, K] = [5, K]"),
        ({"s": torch.ones(5, 0)}, "K >= 1 clusters"),
        ({"s": torch.tensor([0, 0, 0, 0, -1])}, "K - 1 = 0 (got -1 to 0)"),
        ({"s": CLUSTERS, "num_clusters": 3}, "K - 1 = 2 (got 0 to 3)"),
        ({"num_clusters": 0}, "between 1 and K = 2"),
        ({"num_clusters": 3}, "between 1 and K = 2"),
        ({"adj": torch.eye(6).to_sparse()}, "[N, N] = [5, 5] (got [6, 6])"),
        ({"adj": torch.ones(5, 6).to_sparse_csr()}, "= [5, 5] (got [5, 6])"),
        ({"num_clusters": torch.tensor([1, 3])}, "(got 1 to 3)"),
        ({"num_clusters": torch.tensor([0, 2])}, "(got 0 to 2)"),
        ({"num_clusters": torch.tensor([1])}, "shape [B] = [2] (got [1])"),
        ({"backend": "dense"}, "one of 'auto', 'padded', 'sparse' (got 'd"),
        ({"link": "mse"}, "one of 'frobenius', 'bce' (got 'mse')"),
        ({"normalize": "pyg"}, "one of True, False, 'padded' (got 'pyg')"),
        ({"s": with_entry(NAN), "check": True}, "(got nan at [3, 1], 1 in al"),
        ({"s": with_entry(INF), "check": True}, "(got inf at [3, 1]"),
        ({"x": torch.full((5, 3), NAN), "check": True}, "(got nan at [0, 0],"),
        ({"edge_weight": -INF * torch.ones(3), "check": True}, "(got -inf at [0]"),
        ({"edge_attr": torch.ones(2, 4)}, "[E, D] = [3, D] with D >= 1 (got"),
        ({"edge_attr": torch.ones(3, 0)}, "D >= 1 (got [3, 0])"),
        ({"edge_attr": torch.ones(3)}, "2 or 4 dimensions (got 1: [3])"),
        ({"edge_attr": torch.ones(2, 4, 4, 5)}, "[E, D] = [3, D]"),
        ({"edge_attr": ATTR.to("meta")}, "'edge_attr' on meta"),
        ({"edge_attr": NAN * ATTR, "check": True}, "'edge_attr' to be finite"),
        ({"pooled_adj": "cleared"}, "'raw', 'normalized' (got 'cl"),
        ({"edge_attr": ATTR, "edge_reduce": "max"}, "'sum', 'mean' (got 'ma"),
        (
            {**MEAN, "edge_attr": ATTR, "edge_weight": NEGATIVE},
            "0 for edge_reduce='mean'",
        ),
        ({"edge_attr": ATTR, "adj": torch.eye(5).to_sparse()}, "(got a sparse 'adj'"),
    ],
    TypeError: [
        ({"adj": torch.zeros(2, 4).int()}, "int64 (got torch.int32)"),
        ({"adj": FLOATS}, "Cast it with 'edge_index.long()'"),
        ({"adj": FLOATS, "batch": None}, "'edge_index.long()'"),
        ({"adj": torch.tensor([[], []])}, "'edge_index.long()'"),
        ({"adj": [[0, 1], [1, 0]]}, "an edge list [2, E], a sparse tensor"),
        ({"batch": torch.zeros(5)}, "'batch' to be torch.int64"),
        ({"s": torch.ones(5, 2) > 0}, "logits or int64 clusters (got torch.bo"),
        ({"edge_weight": torch.ones(3).long()}, "floating-point (got torch.i"),
        ({"x": torch.ones(5, 3).long()}, "'x.float()'"),
        ({"x": torch.ones(5, 3).double()}, "one dtype (got 'x' is torch.float6"),
        ({"x": [1.0]}, "'x' to be a torch.Tensor (got list)"),
        ({"x": torch.eye(5).to_sparse()}, "'x' to be dense (got torch.sparse_c"),
        ({"s": torch.eye(5).to_sparse()}, "Use 's.to_dense()'."),
        ({"s": CLUSTERS, "num_clusters": torch.tensor([2, 2])}, "int beside"),
        ({"edge_attr": ATTR.long()}, "'edge_attr.float()'"),
        ({"edge_attr": ATTR.double()}, "'edge_attr' is torch.float64"),
        ({"edge_attr": [1.0]}, "'edge_attr' to be a torch.Tensor (got list)"),
    ],
}
BAD_PADDED: dict[type, list[tuple[dict[str, Any], str]]] = {
    ValueError: [
        ({"adj": torch.ones(2, 4, 3)}, "[B, M, M] = [2, 4, 4]"),
        ({"adj": torch.ones(2, 4, 4, 3)}, "[B, M, M, D] as 'edge_attr', besi"),
        ({"s": torch.ones(2, 3, 2)}, "[B, M, K] = [2, 4, K]"),
        ({"mask": torch.ones(2, 3).bool()}, "[B, M] = [2, 4] (got [2, 3])"),
        ({"batch": torch.zeros(4).long()}, "no 'batch' beside a dense 'adj'"),
        ({"edge_weight": torch.ones(4)}, "no 'edge_weight' beside a dense"),
        ({"backend": "sparse"}, "an edge list for backend='sparse'"),
        ({"s": torch.ones(2, 4, 0)}, "K >= 1 clusters"),
        ({"x": torch.ones(0, 4, 3), "adj": torch.ones(0, 4, 4)}, "(got 0 nodes)"),
        ({"x": torch.ones(2, 0, 3), "adj": torch.ones(2, 0, 0)}, "(got 0 nodes)"),
        ({"adj": NAN * DENSE["adj"], "check": True}, "'adj' to be finite"),
        ({"batch_size": 3}, "beside padded 'x', or B = 2 (got 3)"),
        ({"x": torch.ones(4, 3)}, "'x' to have 3 dimensions (got 2: [4, 3])"),
        ({"edge_attr": torch.ones(2, 4, 4)}, "2 or 4 dimensions (got 3"),
        ({"edge_attr": torch.ones(2, 4, 3, 5)}, "[B, M, M, D] = [2, 4, 4, D]"),
        ({"edge_attr": torch.ones(32, 5)}, "(got [32, 5])"),
        ({"edge_attr": INF * BLOCK_ATTR, "check": True}, "(got inf at [0, 0, 0, 0]"),
        (
            {**MEAN, "edge_attr": BLOCK_ATTR, "adj": -DENSE["adj"]},
            "'adj' of at least 0",
        ),
    ],
    TypeError: [
        ({"adj": torch.ones(2, 4, 4).double()}, "'adj' is torch.float64"),
        ({"mask": torch.ones(2, 4)}, "'mask' to be torch.bool (got torch.fl"),
    ],
}


def rows(table):
    return [(error, *row) for error, rows in table.items() for row in rows]


@pytest.mark.parametrize(("error", "changes", "message"), rows(BAD_FLAT))
def test_flat(error, changes, message):
    with pytest.raises(error, match=re.escape(message)):
        diff_pool(**{**GOOD, **changes})


@pytest.mark.parametrize(("error", "changes", "message"), rows(BAD_PADDED))
def test_padded(error, changes, message):
    with pytest.raises(error, match=re.escape(message)):
        diff_pool(**{**DENSE, **changes})


def test_good_input_is_good():
    diff_pool(**GOOD, check=True)
    diff_pool(**DENSE, check=True)


def test_the_search_for_nan_by_environment(monkeypatch):
    bad = {**GOOD, "s": with_entry(NAN)}
    assert diff_pool(**bad).x.isnan().any()
    monkeypatch.setenv("PYG_DIFFPOOL_CHECK", "1")
    with pytest.raises(ValueError, match="'s' to be finite"):
        diff_pool(**bad)


X, ADJ, S, BATCH = GOOD.values()
WORDS = torch.zeros(5, 3).long()
PAIR = {"s": S, "num_clusters": 1}
dense = partial(dense_diff_pool, **DENSE)
CODE2, PAPER = partial(DiffPoolCode2, hidden_channels=4), DiffPoolNet.paper
Call = Callable[[], object]
OTHERS: dict[type, list[tuple[Call, str]]] = {
    ValueError: [
        (lambda: DiffPool(ratio=0.0), "'ratio' above 0 and at most 1 (got 0.0"),
        (lambda: DiffPool()(X, ADJ), "(got neither)"),
        (lambda: DiffPool(assign=Linear(3, 2))(X, ADJ, s=S), "(got both)"),
        (lambda: DiffPool(ratio=0.5)(X, ADJ, **PAIR), "(got 0.5 and 1)"),
        (lambda: DiffPoolNet(3, 4, 2, []), "one number of at least 1"),
        (lambda: DiffPoolNet(3, 4, 2, [4, 0]), "(got [4, 0])"),
        (lambda: DiffPoolNet(3, 4, 2, 2, edge_dim=3), "features beside 'edge_dim'"),
        (lambda: DiffPoolNet([5, 5], 4, 2, 2)(X, ADJ), "integer 'x' of shape [N, 2]"),
        (lambda: DiffPoolNet([5, 5, 2], 4, 2, 2)(WORDS + 2, ADJ), "below [5, 5, 2]"),
        (lambda: DiffPoolNet(4, 4, 2, 2)(X, ADJ), "[N, in_channels] = [N, 4]"),
        (lambda: DiffPoolNet(3, 4, 2, 2)(X, ADJ, clusters=CLUSTERS), "only then"),
        (lambda: PAPER(3, 2, 40, variant="sortpool"), "'variant'"),
        (lambda: PAPER(3, 2, 40, num_levels=3), "'num_levels' 1 or 2"),
        (lambda: PAPER(3, 2, 0), "'max_num_nodes'"),
        (lambda: DiffPoolCode2(num_clusters=0), "(got 0)"),
        (lambda: CODE2()(WORDS[:, 0], ADJ), "integer 'x' of shape [N, 3]"),
        (lambda: CODE2()(WORDS[:, :2], ADJ), "integer 'x' of shape [N, 3]"),
        (lambda: unpool(DENSE["x"], torch.ones(5, 2)), "K = 4 (got K = 2)"),
        (lambda: unpool(DENSE["x"], torch.ones(1, 5, 4)), "B = 2 graphs (got"),
        (lambda: unpool(torch.ones(1, 2, 1), S, BATCH), "below 'batch_size' = 1"),
        (lambda: readout(X[:0], BATCH[:0]), "'batch_size' where there is no node"),
        (lambda: readout(X, reduce="min"), "'reduce' to be one of"),
        (lambda: readout(X, mask=X > 0), "no 'mask' beside flat"),
        (lambda: readout(DENSE["x"], BATCH), "no 'batch' beside padded"),
        (lambda: to_padded(X, edges((2, 3)), BATCH), "from node 2 of graph 0 to nod"),
        (lambda: to_padded(X, ADJ, BATCH, max_num_nodes=2), "'max_num_nodes' = 2"),
        (lambda: to_flat(DENSE["x"], DENSE["s"]), "[B, M, M] = [2, 4, 4]"),
        (lambda: dense(adj=torch.ones(2, 3, 3)), "'adj' [B, M, M]"),
        (lambda: dense(s=torch.ones(2, 4, 0)), "at least one graph, node and cluster"),
        (lambda: dense(s=torch.ones(2, 3, 2)), "of the same B and M"),
    ],
    TypeError: [
        *[
            (lambda gnn=gnn: DiffPool(*gnn), f"'{name}' as a torch")
            for wrong in (3, "GCN", Linear)
            for name, gnn in [("embed", (wrong,)), ("assign", (None, wrong))]
        ],
        (lambda: CODE2()(WORDS.tolist(), ADJ), "'x' to be a torch.Tensor (got"),
    ],
}


@pytest.mark.parametrize(("error", "call", "message"), rows(OTHERS))
def test_other_functions(error, call, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


CODE2_OF = partial(CODE2, 4, 9, 5, 7)
NUMBERS: list[tuple[str, Callable[[Any], Any]]] = [
    ("num_clusters", lambda k: diff_pool(X, ADJ, torch.ones(5, 4), num_clusters=k).x),
    ("num_clusters", lambda k: diff_pool(X, ADJ, BATCH, num_clusters=k).x),
    ("batch_size", lambda b: diff_pool(**GOOD, batch_size=b).x),
    ("batch_size", lambda b: DiffPool()(**GOOD, batch_size=b).x),
    ("batch_size", lambda b: readout(X, BATCH, batch_size=b)),
    ("batch_size", lambda b: perplexity(S.softmax(-1), BATCH, batch_size=b)),
    ("batch_size", lambda b: to_padded(X, ADJ, BATCH, batch_size=b).x),
    ("max_num_nodes", lambda m: to_padded(X, ADJ, BATCH, max_num_nodes=m).x),
    ("batch_size", lambda b: net()(X, ADJ, None, BATCH, batch_size=b).out),
    ("batch_size", lambda b: CODE2_OF()(WORDS, ADJ, BATCH, b).out),
    ("in_channels", lambda c: net(in_channels=[c, 4]).encoder.cardinalities),
    ("in_channels", lambda c: net(in_channels=c)(X, ADJ).out),
    ("hidden_channels", lambda c: net(hidden_channels=c)(X, ADJ).levels[0].x),
    ("out_channels", lambda c: net(out_channels=c)(X, ADJ).out),
    ("num_layers", lambda n: net(num_layers=n)(X, ADJ).out),
    ("num_clusters", lambda k: net(num_clusters=k).num_clusters),
    ("num_clusters", lambda k: net(num_clusters=[k, 2]).num_clusters),
    ("max_num_nodes", lambda m: PAPER(3, 2, m, hidden_channels=8).num_clusters),
    (
        "hidden_channels",
        lambda c: DiffPoolCode2(4, 9, 5, hidden_channels=c).heads.weight,
    ),
    ("num_clusters", lambda k: CODE2_OF(num_clusters=k)(WORDS, ADJ).levels[0].x),
]
WHOLE = [numpy.int64(3), numpy.array(3), torch.tensor(3), 3.0, numpy.float32(3)]
NOT_WHOLE = [2.5, True, "3", torch.tensor(True), float("inf")]


def net(**sizes):
    torch.manual_seed(0)
    defaults = {"in_channels": 3, "hidden_channels": 4, "out_channels": 2}
    return DiffPoolNet(**{**defaults, "num_clusters": 2, **sizes})


@pytest.mark.parametrize(("name", "call"), NUMBERS)
def test_whole_numbers_of_any_type(name, call):
    found = []
    for three in [3, *WHOLE]:
        torch.manual_seed(0)
        found.append(call(three))
    for value in found[1:]:
        torch.testing.assert_close(value, found[0])
    for value in NOT_WHOLE:
        message = f"Expected '{name}' to be a whole number (got {value!r})."
        with pytest.raises(TypeError, match=re.escape(message)):
            call(value)


@pytest.mark.parametrize("name", ["hidden_channels", "out_channels", "in_channels"])
def test_numbers_that_must_be_given(name):
    for value in (None, torch.tensor([3])):
        if name == "in_channels" and value is not None:
            continue  # where it is a sequence of one
        with pytest.raises(TypeError, match=f"'{name}' to be a whole number"):
            net(**{name: value})


@pytest.mark.parametrize("number", [0, -1])
@pytest.mark.parametrize("name", ["hidden_channels", "out_channels", "num_layers"])
def test_numbers_below_one(name, number):
    message = f"Expected '{name}' of at least 1 (got {number})."
    with pytest.raises(ValueError, match=re.escape(message)):
        net(**{name: number})


@pytest.mark.parametrize("gnn", ["GCN", pyg.GATConv, pyg.GCN(3, 4, 2)])
def test_a_gnn_that_is_no_class_of_models(gnn):
    with pytest.raises(TypeError, match="Expected 'gnn' to be a class of PyG's Basic"):
        net(gnn=gnn)
