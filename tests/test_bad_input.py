"""Every kind of bad input, with what it is told."""

from typing import Any

import numpy
import pytest
import torch
from torch import Tensor

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


def edges(*pairs: tuple[int, int]) -> Tensor:
    return torch.tensor(pairs).t()


def with_entry(value: float) -> Tensor:
    s = torch.ones(5, 2)
    s[3, 1] = value
    return s


NO_NODES = {"x": torch.ones(0, 3), "adj": torch.zeros(2, 0).long(), "batch": None}
CLUSTERS = torch.tensor([0, 0, 0, 0, 3])

# What differs from good input, the error, and part of its message.
BAD_FLAT: list[tuple[dict[str, Any], type, str]] = [
    ({"adj": edges((0, 5))}, ValueError, "N - 1 = 4 (got 0 to 5)"),
    ({"adj": edges((-1, 0))}, ValueError, "N - 1 = 4 (got -1 to 0)"),
    ({"adj": torch.zeros(3, 4).long()}, ValueError, "shape [2, E] (got [3, 4])"),
    ({"adj": torch.zeros(4).long()}, ValueError, "shape [2, E] (got [4])"),
    ({"adj": torch.zeros(2, 4).int()}, TypeError, "int64 (got torch.int32)"),
    ({"adj": [[0, 1], [1, 0]]}, TypeError, "an edge list [2, E], a sparse tensor"),
    ({"batch": torch.tensor([0, 1, 0, 1, 1])}, ValueError, "1 before 0 at position 1"),
    ({"batch": torch.tensor([-1, 0, 0, 1, 1])}, ValueError, "the negative entry -1"),
    ({"batch": torch.tensor([0, 0, 1, 1])}, ValueError, "[N] = [5]"),
    ({"batch": torch.zeros(6).long()}, ValueError, "[N] = [5]"),
    ({"batch": torch.zeros(5)}, TypeError, "'batch' to be torch.int64"),
    ({"batch_size": 1}, ValueError, "below 'batch_size' = 1 (got 1)"),
    ({"batch_size": 0}, ValueError, "'batch_size' of at least 1 (got 0)"),
    ({"batch": None, "batch_size": 2}, ValueError, "'batch' for a 'batch_size' of 2"),
    ({"adj": edges((0, 1), (2, 3))}, ValueError, "node 2 of graph 0 to node 3 of gr"),
    ({"adj": edges((4, 1), (0, 1))}, ValueError, "node 4 of graph 1 to node 1 of gr"),
    ({"edge_weight": torch.ones(2)}, ValueError, "length E = 3 (got 2)"),
    ({"edge_weight": torch.ones(3, 1)}, ValueError, "1 dimensions (got 2: [3, 1])"),
    ({"edge_weight": torch.ones(3, 1)}, ValueError, "'edge_weight.squeeze(-1)', or"),
    ({"s": torch.ones(5, 2) > 0}, TypeError, "logits or int64 clusters (got torch.bo"),
    ({"edge_weight": torch.ones(3).long()}, TypeError, "floating-point (got torch.i"),
    ({"mask": torch.ones(2, 3).bool()}, ValueError, "no 'mask' beside an edge list"),
    (NO_NODES, ValueError, "at least one node (got 0 nodes)"),
    ({"x": torch.ones(5, 3).long()}, TypeError, "'x.float()'"),
    ({"x": torch.ones(5)}, ValueError, "2 or 3 dimensions (got 1: [5])"),
    ({"x": torch.ones(5, 3).double()}, TypeError, "one dtype (got 'x' is torch.float6"),
    ({"x": torch.ones(5, 3, device="meta")}, ValueError, "(got 'x' on meta, "),
    ({"x": [1.0]}, TypeError, "'x' to be a torch.Tensor (got list)"),
    ({"x": torch.eye(5).to_sparse()}, TypeError, "'x' to be dense (got torch.sparse_c"),
    ({"s": torch.eye(5).to_sparse()}, TypeError, "Use 's.to_dense()'."),
    ({"s": torch.ones(4, 2)}, ValueError, "[N, K] = [5, K]"),
    ({"s": torch.ones(5, 0)}, ValueError, "K >= 1 clusters"),
    ({"s": torch.tensor([0, 0, 0, 0, -1])}, ValueError, "K - 1 = 0 (got -1 to 0)"),
    ({"s": CLUSTERS, "num_clusters": 3}, ValueError, "K - 1 = 2 (got 0 to 3)"),
    ({"s": CLUSTERS, "num_clusters": torch.tensor([2, 2])}, TypeError, "int beside"),
    ({"num_clusters": 0}, ValueError, "between 1 and K = 2"),
    ({"num_clusters": 3}, ValueError, "between 1 and K = 2"),
    (
        {"num_clusters": True},
        TypeError,
        "'num_clusters' to be a whole number (got True",
    ),
    ({"adj": torch.eye(6).to_sparse()}, ValueError, "[N, N] = [5, 5] (got [6, 6])"),
    ({"adj": torch.ones(5, 6).to_sparse_csr()}, ValueError, "= [5, 5] (got [5, 6])"),
    ({"num_clusters": torch.tensor([1, 3])}, ValueError, "(got 1 to 3)"),
    ({"num_clusters": torch.tensor([0, 2])}, ValueError, "(got 0 to 2)"),
    ({"num_clusters": torch.tensor([1])}, ValueError, "shape [B] = [2] (got [1])"),
    ({"backend": "dense"}, ValueError, "one of 'auto', 'padded', 'sparse' (got 'd"),
    ({"link": "mse"}, ValueError, "one of 'frobenius', 'bce' (got 'mse')"),
    ({"normalize": "pyg"}, ValueError, "one of True, False, 'padded' (got 'pyg')"),
    ({"s": with_entry(NAN), "check": True}, ValueError, "(got nan at [3, 1], 1 in al"),
    ({"s": with_entry(INF), "check": True}, ValueError, "(got inf at [3, 1]"),
    ({"x": torch.full((5, 3), NAN), "check": True}, ValueError, "(got nan at [0, 0],"),
]
ATTR = torch.ones(3, 4)
NEGATIVE = torch.tensor([1.0, -0.5, 1.0])
BAD_EDGE_ATTR: list[tuple[dict[str, Any], type, str]] = [
    ({"edge_attr": torch.ones(2, 4)}, ValueError, "[E, D] = [3, D] with D >= 1 (got"),
    ({"edge_attr": torch.ones(3, 0)}, ValueError, "D >= 1 (got [3, 0])"),
    ({"edge_attr": torch.ones(3)}, ValueError, "2 or 4 dimensions (got 1: [3])"),
    ({"edge_attr": torch.ones(2, 4, 4, 5)}, ValueError, "[E, D] = [3, D]"),
    ({"edge_attr": ATTR.long()}, TypeError, "'edge_attr.float()'"),
    ({"edge_attr": ATTR.double()}, TypeError, "'edge_attr' is torch.float64"),
    ({"edge_attr": ATTR.to("meta")}, ValueError, "'edge_attr' on meta"),
    ({"edge_attr": [1.0]}, TypeError, "'edge_attr' to be a torch.Tensor (got list)"),
    ({"edge_attr": NAN * ATTR, "check": True}, ValueError, "'edge_attr' to be finite"),
    ({"edge_attr": ATTR, "edge_reduce": "max"}, ValueError, "'sum', 'mean' (got 'ma"),
    (
        {"edge_attr": ATTR, "edge_weight": NEGATIVE, "edge_reduce": "mean"},
        ValueError,
        "'edge_weight' of at least 0 for edge_reduce='mean' (got -0.5)",
    ),
    (
        {"edge_attr": ATTR, "adj": torch.eye(5).to_sparse()},
        ValueError,
        "beside 'edge_attr' (got a sparse 'adj'",
    ),
]
BAD_DENSE_EDGE_ATTR: list[tuple[dict[str, Any], type, str]] = [
    ({"edge_attr": torch.ones(2, 4, 4)}, ValueError, "2 or 4 dimensions (got 3"),
    ({"edge_attr": torch.ones(2, 4, 3, 5)}, ValueError, "[B, M, M, D] = [2, 4, 4, D]"),
    ({"edge_attr": torch.ones(32, 5)}, ValueError, "(got [32, 5])"),
    (
        {"edge_attr": torch.full((2, 4, 4, 5), INF), "check": True},
        ValueError,
        "'edge_attr' to be finite (got inf at [0, 0, 0, 0]",
    ),
    (
        {
            "edge_attr": torch.ones(2, 4, 4, 5),
            "adj": -torch.ones(2, 4, 4),
            "edge_reduce": "mean",
        },
        ValueError,
        "'adj' of at least 0 for edge_reduce='mean' (got -1.0)",
    ),
]
BAD_PADDED: list[tuple[dict[str, Any], type, str]] = [
    ({"adj": torch.ones(2, 4, 3)}, ValueError, "[B, M, M] = [2, 4, 4]"),
    ({"adj": torch.ones(2, 4, 4, 3)}, ValueError, "[B, M, M, D] as 'edge_attr', besi"),
    ({"adj": torch.ones(2, 4, 4).double()}, TypeError, "'adj' is torch.float64"),
    ({"s": torch.ones(2, 3, 2)}, ValueError, "[B, M, K] = [2, 4, K]"),
    ({"mask": torch.ones(2, 3).bool()}, ValueError, "[B, M] = [2, 4] (got [2, 3])"),
    ({"mask": torch.ones(2, 4)}, TypeError, "'mask' to be torch.bool (got torch.fl"),
    ({"batch": torch.zeros(4).long()}, ValueError, "no 'batch' beside a dense 'adj'"),
    ({"edge_weight": torch.ones(4)}, ValueError, "no 'edge_weight' beside a dense"),
    ({"backend": "sparse"}, ValueError, "an edge list for backend='sparse'"),
    ({"batch_size": 3}, ValueError, "beside padded 'x', or B = 2 (got 3)"),
    ({"x": torch.ones(4, 3)}, ValueError, "'x' to have 3 dimensions (got 2: [4, 3])"),
]


@pytest.mark.parametrize(("changes", "error", "message"), BAD_FLAT + BAD_EDGE_ATTR)
def test_flat(changes: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error) as caught:
        diff_pool(**{**GOOD, **changes})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "error", "message"), BAD_PADDED + BAD_DENSE_EDGE_ATTR
)
def test_padded(changes: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error) as caught:
        diff_pool(**{**DENSE, **changes})
    assert message in str(caught.value)


def test_good_input_is_good() -> None:
    diff_pool(**GOOD, check=True)
    diff_pool(**DENSE, check=True)


def test_the_search_for_nan_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {**GOOD, "s": with_entry(NAN)}
    assert diff_pool(**bad).x.isnan().any()
    monkeypatch.setenv("PYG_DIFFPOOL_CHECK", "1")
    with pytest.raises(ValueError, match="'s' to be finite"):
        diff_pool(**bad)


OTHERS = [
    (lambda: DiffPool(ratio=0.0), "'ratio' above 0 and at most 1 (got 0.0)"),
    (lambda: DiffPool()(GOOD["x"], GOOD["adj"]), "(got neither)"),
    (
        lambda: DiffPool(assign=torch.nn.Linear(3, 2))(
            GOOD["x"], GOOD["adj"], s=GOOD["s"]
        ),
        "(got both)",
    ),
    (
        lambda: DiffPool(ratio=0.5)(
            GOOD["x"], GOOD["adj"], s=GOOD["s"], num_clusters=1
        ),
        "either 'ratio' or 'num_clusters' (got 0.5 and 1)",
    ),
    (
        lambda: readout(torch.ones(0, 3), torch.zeros(0).long()),
        "'batch_size' where there is no node",
    ),
    (lambda: DiffPoolNet(3, 4, 2, []), "'num_clusters' with one number of at least 1"),
    (lambda: DiffPoolNet(3, 4, 2, [4, 0]), "(got [4, 0])"),
    (
        lambda: DiffPoolNet(3, 4, 2, 2, edge_dim=3),
        "for edge features beside 'edge_dim'",
    ),
    (lambda: DiffPoolCode2(num_clusters=0), "(got 0)"),
    (
        lambda: DiffPoolNet([5, 5], 4, 2, 2)(GOOD["x"], GOOD["adj"]),
        "integer 'x' of shape [N, 2]",
    ),
    (lambda: unpool(torch.ones(2, 3, 1), torch.ones(5, 2)), "K = 3 (got K = 2)"),
    (lambda: unpool(torch.ones(2, 3, 1), torch.ones(1, 5, 3)), "B = 2 graphs (got 1)"),
    (
        lambda: unpool(torch.ones(1, 2, 1), torch.ones(5, 2), GOOD["batch"]),
        "below 'batch_size' = 1",
    ),
    (lambda: readout(GOOD["x"], reduce="min"), "'reduce' to be one of"),
    (lambda: readout(GOOD["x"], mask=torch.ones(5, 3).bool()), "no 'mask' beside fl"),
    (lambda: readout(torch.ones(2, 3, 1), GOOD["batch"]), "no 'batch' beside padded"),
    (
        lambda: to_padded(GOOD["x"], edges((2, 3)), GOOD["batch"]),
        "from node 2 of graph 0 to node 3",
    ),
    (
        lambda: to_flat(torch.ones(2, 3, 1), torch.ones(2, 3, 2)),
        "[B, M, M] = [2, 3, 3]",
    ),
]


@pytest.mark.parametrize(("call", "message"), OTHERS)
def test_other_functions(call: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize("x", [torch.zeros(5).long(), torch.zeros(5, 2).long()])
def test_what_the_network_for_code_cannot_embed(x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"integer 'x' of shape \[N, 3\]"):
        DiffPoolCode2(hidden_channels=4)(x, GOOD["adj"])
    with pytest.raises(TypeError, match=r"'x' to be a torch.Tensor \(got list\)"):
        DiffPoolCode2(hidden_channels=4)(x.tolist(), GOOD["adj"])


@pytest.mark.parametrize("gnn", [3, "GCN", torch.nn.Linear])
def test_a_gnn_is_a_module(gnn: Any) -> None:
    with pytest.raises(TypeError, match="'embed' as a torch"):
        DiffPool(gnn)
    with pytest.raises(TypeError, match="'assign' as a torch"):
        DiffPool(None, gnn)


def test_dense_diff_pool_refuses_what_pyg_refuses() -> None:
    with pytest.raises(ValueError, match=r"'adj' \[B, M, M\]"):
        dense_diff_pool(torch.ones(2, 4, 3), torch.ones(2, 3, 3), torch.ones(2, 4, 2))


def test_edges_of_another_dtype_are_named() -> None:
    x, s = torch.ones(3, 2), torch.ones(3, 2)
    for edges in (torch.tensor([[], []]), torch.tensor([[0.0, 1, 2], [1, 2, 0]])):
        for batch in (None, torch.zeros(3, dtype=torch.long)):
            with pytest.raises(
                TypeError, match=r"'edge_index' .* 'edge_index.long\(\)'"
            ):
                diff_pool(x, edges, s, batch=batch)


@pytest.mark.parametrize("k", [numpy.int64(3), torch.tensor(3), 3.0])
def test_whole_numbers_of_any_type(k: Any) -> None:
    x, adj, s = torch.ones(3, 2), torch.tensor([[0, 1], [1, 2]]), torch.ones(3, 4)
    expected = diff_pool(x, adj, s, num_clusters=3)
    torch.testing.assert_close(diff_pool(x, adj, s, num_clusters=k).x, expected.x)
    given = diff_pool(x, adj, torch.tensor([0, 2, 1]), num_clusters=k, batch_size=1.0)
    assert given.x.shape == (1, 3, 2)
    with pytest.raises(
        TypeError, match=r"'num_clusters' to be a whole number \(got 2.5"
    ):
        diff_pool(x, adj, s, num_clusters=2.5)
