"""Every kernel against the slow oracle: values and gradients."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import reference
from graphs import RESULTS, ZOO, Arguments, flat, gradients, leaves, padded, total
from graphs import sample as make
from kernels.launching import DEVICE, moved
from pyg_diffpool import _modes, dense_diff_pool, diff_pool, operator
from pyg_diffpool._graph import group_nodes, make_graph

if DEVICE == "cuda":
    pytestmark = pytest.mark.cuda
HALF = {torch.float16: 4e-3, torch.bfloat16: 3e-2}
TURNED = ZOO["ordinary"].batch.flip(0)
SPARSE = {"softmax", "contract", "losses", "gradient"}
DENSE = {"softmax", "dense", "contract", "losses", "gradient"}
POOLED = sorted({*RESULTS} - {"assignment"})


def double(given: Arguments) -> Arguments:
    """The same numbers in float64."""
    is_float = {n: getattr(v, "is_floating_point", bool)() for n, v in given.items()}
    return {n: v.double() if is_float[n] else v for n, v in given.items()}


def check(given: Arguments, expected: Arguments, tolerance: float = 1e-4) -> None:
    """The operator on these arguments against the oracle on others."""
    given, expected = leaves(moved(given)), leaves(expected)
    if "mask" in given:  # else torch would hide what its padding holds
        given["adj"] = given["adj"].detach()
    results = [diff_pool(**given), reference.diff_pool(**expected)]
    names = RESULTS if "mask" not in given else POOLED
    for name in names:
        value, right = (getattr(out, name) for out in results)
        close(value, right, tolerance)
    if "mask" in given:
        rows = results[0].assignment[given["mask"]]
        close(rows, results[1].assignment, tolerance)
    of_x = [n for n in expected if n != "adj" and n in given]
    found, wanted = (
        gradients(total(out, names), of, *of_x)
        for out, of in zip(results, (given, expected), strict=True)
    )
    for grad, right in zip(found, wanted, strict=True):
        if "mask" in given and grad.dim() == 3 and right.dim() == 2:
            assert not grad[~given["mask"]].any()
            grad = grad[given["mask"]]
        close(grad, right, tolerance)


def close(value: Tensor, right: Tensor, tolerance: float) -> None:
    scale = right.detach().abs().max().item() if right.numel() else 0.0
    limits = {"rtol": tolerance, "atol": tolerance * max(scale, 0.1)}
    assert_close(value.double().cpu(), right.double().cpu(), **limits)


def short(kernels: list[str]) -> set[str]:
    return {name.strip("_").removesuffix("_kernel") for name in kernels}


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
def test_sparse(name: str, read: bool, kernels: list[str], request: Any) -> None:
    if not read:
        request.getfixturevalue("unreadable")
    given = {**flat(ZOO[name].to(torch.float)), "backend": "sparse"}
    check(given, flat(ZOO[name]))
    assert short(kernels) >= SPARSE


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize("name", ZOO)
def test_padded(name: str, kernels: list[str]) -> None:
    given = padded(ZOO[name].to(torch.float))
    hidden = ~given["mask"]
    given["x"][hidden] = torch.nan  # whatever padding holds
    given["s"][hidden] = torch.inf
    pairs = hidden.unsqueeze(1) | hidden.unsqueeze(2)
    given["adj"] = given["adj"].masked_fill(pairs, 7.0)
    check(given, flat(ZOO[name]))
    assert short(kernels) - {"groups"} == DENSE


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("form", ["sparse", "padded"])
@pytest.mark.parametrize("name", ["ordinary", "weighted", "very uneven"])
def test_half_precision(
    name: str, form: str, dtype: torch.dtype, kernels: list[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(operator, "_work_dtype", lambda x, _: x.dtype)
    sample = ZOO[name].to(dtype)
    expected = double(flat(sample))
    if form == "sparse":
        check({**flat(sample), "backend": form}, expected, HALF[dtype])
    else:
        check(padded(sample), expected, HALF[dtype])
    assert short(kernels) >= {"gradient"}


@pytest.mark.parametrize(
    ("k", "channels"),
    [(1, 1), (2, 300), (15, 16), (16, 17), (17, 64), (33, 5), (65, 65), (130, 2)],
)
@pytest.mark.parametrize("form", ["sparse", "padded"])
def test_any_width(k: int, channels: int, form: str, kernels: list[str]) -> None:
    sample = make([9, 1, 40], 0.2, k, channels, weighted=True)
    given = flat(sample.to(torch.float)) if form == "sparse" else None
    given = {**given, "backend": form} if given else padded(sample.to(torch.float))
    check(given, flat(sample))
    assert ("gradient" in short(kernels)) == (k <= 128)


@pytest.mark.parametrize("nodes", [40, 50_000])  # in keys of 32 bits and of 64
def test_edges_are_sorted_as_by_torch(
    nodes: int, kernels: list[str], monkeypatch: Any
) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = torch.arange(nodes) // (nodes // 2)
    ends = torch.randint(nodes // 2, (2, 900), generator=generator)
    ends += torch.randint(2, (900,), generator=generator) * (nodes // 2)
    given = moved({"edges": ends, "batch": batch})
    results = []
    for devices in ({DEVICE}, set[str]()):
        monkeypatch.setattr(_modes, "KERNEL_DEVICES", devices)
        groups = group_nodes(given["batch"], 3, given["batch"])
        of = given["edges"], None, groups.ptr, nodes, torch.float, given["batch"]
        graph = make_graph(*of)
        made = graph.row, graph.col, graph.crow, graph.order, graph.weight
        results.append([*groups, *made])
    assert short(kernels) == {"groups", "key", "runs"}
    for value, right in zip(*results, strict=True):
        assert value.dtype == right.dtype
        assert torch.equal(value, right)


@pytest.mark.parametrize("name", ["ordinary", "repeated, weighted", "no edges"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float, *HALF])
def test_sums_over_edges(
    name: str, transposed: bool, dtype: torch.dtype, kernels: list[str]
) -> None:
    sample, generator = ZOO[name], torch.Generator().manual_seed(0)
    x = torch.randn(sample.x.size(0), 70, generator=generator)
    results = []
    for kind in (dtype, torch.double):  # which the kernels leave to torch
        weight = sample.edge_weight
        given: Any = {"x": x.to(kind), "weight": weight}
        given = leaves(moved({**given, "edges": sample.edge_index}))
        ptr = torch.tensor([0, x.size(0)], device=DEVICE)
        to = given["edges"], given["weight"], ptr, x.size(0), torch.float
        out = make_graph(*to).mm(given["x"], transposed)
        wanted = [t for t in given.values() if t is not None and t.requires_grad]
        results.append([out, *torch.autograd.grad(out.double().square().sum(), wanted)])
        assert "edge" in short(kernels)
    for value, right in zip(*results, strict=True):
        close(value, right, HALF.get(dtype, 1e-5))


@pytest.mark.usefixtures("unreadable", "kernels")
def test_a_large_graph_beside_tiny_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor([2, 5000, 0, 1])
    batch = torch.arange(4).repeat_interleave(sizes)
    inner = 2 + torch.randint(5000, (2, 6000), generator=generator)
    adj = torch.cat([inner, torch.tensor([[0, 5002], [1, 5002]])], 1)
    x, s = (torch.randn(5003, n, generator=generator).double() for n in (3, 5))
    wide = {"x": x, "adj": adj, "s": s, "batch": batch, "batch_size": 4}
    given = leaves(moved(wide | {"x": x.float(), "s": s.float()}))
    wide = leaves(wide)
    results = diff_pool(**given), diff_pool(**wide)  # which is not in float32
    grads = [
        gradients(total(out, POOLED), of)
        for out, of in zip(results, (given, wide), strict=True)
    ]
    for name in RESULTS:
        close(*(getattr(out, name) for out in results), 1e-4)
    for found, right in zip(*grads, strict=True):
        close(found, right, 1e-4)


@pytest.mark.usefixtures("unreadable", "kernels")
@pytest.mark.parametrize("form", [flat, padded])
def test_tensors_that_are_not_contiguous(form: Any) -> None:
    def spread(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dim() == 0:
            return value
        return value.repeat_interleave(2, -1)[..., ::2]

    given = moved(form(ZOO["repeated, weighted"].to(torch.float)))
    spaced = {name: spread(value) for name, value in given.items()}
    spaced["x"] = given["x"].mT.contiguous().mT
    for name in RESULTS:
        outs = diff_pool(**given), diff_pool(**spaced)
        assert_close(*(getattr(out, name) for out in outs), rtol=1e-6, atol=1e-6)
    s = given["s"].requires_grad_()
    d_x, d_s = (t.expand(outs[0].x.shape) for t in (s.new_ones(()), s.new_zeros(())))
    pooled = diff_pool(**given).x
    expanded = torch.autograd.grad(pooled, s, d_x + d_s, retain_graph=True)
    assert_close(torch.autograd.grad(pooled, s, d_x), expanded)


@pytest.mark.usefixtures("unreadable", "kernels")
def test_deterministic_algorithms() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        runs = []
        for _ in range(2):
            given = leaves(moved(flat(ZOO["repeated, weighted"].to(torch.float))))
            out = diff_pool(**given)
            values = [getattr(out, name) for name in RESULTS]
            runs.append(values + gradients(total(out), given))
        check(flat(ZOO["ordinary"].to(torch.float)), flat(ZOO["ordinary"]))
    finally:
        torch.use_deterministic_algorithms(False)
    assert_close(*runs, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["weighted", "very uneven", "one node each"])
@pytest.mark.usefixtures("unreadable")
def test_gradient_of_a_dense_adjacency(name: str, kernels: list[str]) -> None:
    wide, given = (padded(ZOO[name].to(t)) for t in (torch.double, torch.float))
    wide, given = leaves(wide), leaves(moved(given))
    found, right = (
        gradients(total(diff_pool(**of), POOLED), of, "adj") for of in (given, wide)
    )
    assert kernels.count("_gradient_kernel") == 1  # float64 is not theirs
    close(found[0], right[0], 1e-4)
    real = given["mask"].unsqueeze(1) & given["mask"].unsqueeze(2)
    assert found[0][real].any()
    assert not found[0][~real].any()


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize("form", [flat, padded])
def test_gradient_by_way_of_the_gram_matrix(form: Any, kernels: list[str]) -> None:
    found = []
    for dtype in (torch.float, torch.double):
        given = leaves(moved(form(ZOO["ordinary"].to(dtype))))
        out = diff_pool(**given)
        loss = out.collapse_loss + out.orthogonality_loss
        found += gradients(loss, given, "s")
    assert kernels.count("_gradient_kernel") == 1  # float64 is not theirs
    close(*found, 1e-4)


@pytest.mark.parametrize("sharpness", [9.0, 14.0, 40.0])
@pytest.mark.parametrize("form", ["sparse", "padded"])
@pytest.mark.usefixtures("unreadable", "kernels")
def test_near_a_perfect_clustering(form: str, sharpness: float) -> None:
    blocks = torch.tensor([0, 1, 2]).repeat_interleave(torch.tensor([3, 4, 5]))
    adj = (blocks.unsqueeze(1) == blocks).nonzero().t()
    s = (
        sharpness * torch.nn.functional.one_hot(blocks)
        + torch.arange(36).view(12, 3) / 99
    )
    weight = 1 + (40 - sharpness) * torch.arange(50) / 1e6
    x = torch.ones(12, 1)
    dense = torch.zeros(12, 12).index_put(tuple(adj), weight)
    one = {"x": x, "adj": adj, "s": s, "edge_weight": weight}
    if form == "padded":
        one = {"x": x[None], "adj": dense[None], "s": s[None]}
    out = diff_pool(**leaves(moved(one)), normalize=False)
    exact = out.assignment.detach().double().cpu().view(12, 3)
    right = (dense.double() - exact @ exact.T).norm()
    assert_close(out.link_loss.double().cpu(), right, rtol=1e-3, atol=1e-6)


@pytest.mark.usefixtures("unreadable", "kernels")
def test_huge_weights_and_no_numbers() -> None:
    given = flat(ZOO["one-way path"].to(torch.float))
    weight = torch.tensor([1.0, 1e20, 1.0])
    loss = diff_pool(**moved({**given, "edge_weight": weight})).link_loss
    assert_close(loss.cpu(), torch.tensor(1e20 / 16), rtol=1e-5, atol=0)
    adj = torch.zeros(1, 4, 4)
    adj[0, 0, 1] = 1e20
    dense = leaves(
        moved({"x": torch.ones(1, 4, 1), "adj": adj, "s": torch.eye(4)[None]})
    )
    loss = diff_pool(**dense).link_loss
    assert_close(loss.cpu(), torch.tensor(1e20 / 16), rtol=1e-5, atol=0)
    (grad,) = gradients(loss, dense, "adj")
    assert_close(grad[0, 0, 1].cpu(), torch.tensor(1 / 16))
    given["x"][0, 0] = torch.nan
    given["s"][1, 0] = torch.nan
    out = diff_pool(**moved(given))
    for name in RESULTS:
        assert getattr(out, name).isnan().any(), name


@pytest.mark.usefixtures("unreadable", "kernels")
@pytest.mark.parametrize("form", [flat, padded])
def test_gradients_of_gradients_are_of_the_plain_formula(form: Any) -> None:
    second = []
    for dtype in (torch.float, torch.double):
        given = leaves(moved(form(ZOO["undirected"].to(dtype))))
        first = torch.autograd.grad(
            total(diff_pool(**given), POOLED), given["s"], create_graph=True
        )
        second.append(torch.autograd.grad(first[0].square().sum(), given["s"])[0])
    close(*second, 1e-3)


@pytest.mark.skipif(DEVICE == "cuda", reason="the device would be lost")
@pytest.mark.usefixtures("unreadable", "kernels")
@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"adj": torch.tensor([[0, 15], [1, 0]])}, "below the nodes"),
        ({"adj": torch.tensor([[-1, 2], [1, 0]])}, "below the nodes"),
        ({"adj": torch.tensor([[0, 7], [1, 9]])}, "within graphs"),
        ({"batch": TURNED, "adj": torch.tensor([[0], [1]])}, "to ascend"),
        ({"batch_size": 2}, "below 'batch_size'"),
    ],
)
def test_wrong_input_stops_the_device(
    changed: Arguments, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triton.runtime.interpreter import interpreter_builder

    def create_assert(condition: Any, message: str) -> None:
        if not condition.data.all():
            raise ValueError(message)

    options = replace(interpreter_builder.options, debug=True)
    monkeypatch.setattr(interpreter_builder, "options", options)
    monkeypatch.setattr(interpreter_builder, "create_assert", create_assert)
    given = flat(ZOO["ordinary"].to(torch.float))
    diff_pool(**given)
    with pytest.raises(Exception, match=what):
        diff_pool(**given | changed)


@pytest.mark.usefixtures("unreadable", "kernels")
@pytest.mark.parametrize("form", [flat, padded])
def test_gradients_of_tensors_that_are_not_contiguous(form: Any) -> None:
    given = moved(form(ZOO["weighted"].to(torch.float)))
    turned = {n: given[n].mT.contiguous().mT for n in ("x", "s")}
    both = (
        leaves(given),
        {**given, **{n: t.requires_grad_() for n, t in turned.items()}},
    )
    found = [gradients(total(diff_pool(**of), POOLED), of, "x", "s") for of in both]
    for one, other in zip(*found, strict=True):
        assert_close(one, other)


@pytest.mark.usefixtures("unreadable", "kernels")
def test_the_padding_of_an_adjacency_counts_as_in_pyg() -> None:
    x, s, adj = torch.randn(2, 4, 3), torch.randn(2, 4, 2), torch.ones(2, 4, 4)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    found = []
    for dtype in (torch.float, torch.double):
        given = moved({"x": x, "adj": adj, "s": s})
        given = leaves({n: t.to(dtype) for n, t in given.items()})
        out = dense_diff_pool(**given, mask=mask.to(given["x"].device))
        grads = torch.autograd.grad(sum(t.sum() for t in out), list(given.values()))
        found.append([*out, *grads])
    for one, right in zip(*found, strict=True):
        close(one, right, 1e-4)


@pytest.mark.usefixtures("unreadable", "kernels")
def test_cross_entropy_knows_nothing_of_padding() -> None:
    given = padded(ZOO["undirected"].to(torch.float))
    hidden = ~given["mask"]
    pairs = hidden.unsqueeze(1) | hidden.unsqueeze(2)
    other = {**given, "adj": given["adj"].masked_fill(pairs, torch.nan)}
    losses = [diff_pool(**moved(g), link="bce").link_loss for g in (given, other)]
    assert_close(*losses)


@pytest.mark.usefixtures("unreadable", "kernels")
def test_a_loss_that_is_no_number_has_gradients_that_are_none() -> None:
    given = flat(ZOO["one-way path"].to(torch.float))
    given["edge_weight"] = torch.tensor([1.0, torch.nan, 1.0])
    given = leaves(moved(given))
    out = diff_pool(**given)
    assert gradients(out.link_loss, given, "s")[0].isnan().all()
