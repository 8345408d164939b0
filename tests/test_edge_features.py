"""Edge features through `diff_pool`, against the oracle and by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.nn import GATv2Conv
from torch_geometric.utils import to_dense_adj

import reference
from graphs import ZOO, Sample
from pyg_diffpool import (
    DiffPool,
    DiffPoolOutput,
    _edge_features,
    _modes,
    _ragged,
    diff_pool,
    to_padded,
)

D = 5
BACKENDS, REDUCES = ["sparse", "padded"], ["sum", "mean"]
NAMES = ["ordinary", "weighted", "repeated, weighted", "very uneven"]


def features(sample: Sample) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    shape = sample.edge_index.size(1), D
    return torch.randn(shape, generator=generator, dtype=torch.double)


def inputs(sample: Sample) -> dict[str, Tensor]:
    """Leaves: features, logits, edge features, and weights of at least 0 if any."""
    given = {"x": sample.x, "s": sample.s, "edge_attr": features(sample)}
    if sample.edge_weight is not None:
        given["edge_weight"] = sample.edge_weight.abs()
    return {name: t.clone().requires_grad_() for name, t in given.items()}


def run(sample: Sample, given: dict[str, Tensor], **options: object) -> DiffPoolOutput:
    return diff_pool(
        given["x"],
        sample.edge_index,
        given["s"],
        edge_weight=given.get("edge_weight"),
        edge_attr=given["edge_attr"],
        batch=sample.batch,
        batch_size=sample.batch_size,
        **options,
    )


def oracle(
    sample: Sample, given: dict[str, Tensor], **options: object
) -> reference.Reference:
    return reference.diff_pool(
        given["x"],
        sample.edge_index,
        given["s"],
        given.get("edge_weight"),
        sample.batch,
        sample.batch_size,
        edge_attr=given["edge_attr"],
        **options,
    )


def total(out: DiffPoolOutput | reference.Reference) -> Tensor:
    """One number that hangs on every entry."""
    generator = torch.Generator().manual_seed(3)
    results = (out.edge_attr, out.x, out.adj)
    return sum(
        (t * torch.rand(t.shape, generator=generator, dtype=torch.double)).sum()
        for t in results
    )


@pytest.mark.parametrize("reduce", REDUCES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ZOO)
def test_equals_oracle(name: str, backend: str, reduce: str) -> None:
    sample = ZOO[name]
    ours, theirs = inputs(sample), inputs(sample)
    out = run(sample, ours, backend=backend, edge_reduce=reduce)
    expected = oracle(sample, theirs, edge_reduce=reduce)
    for field in ("edge_attr", "x", "adj", "link_loss", "entropy_loss"):
        torch.testing.assert_close(getattr(out, field), getattr(expected, field))
    grads = torch.autograd.grad(total(out), list(ours.values()))
    expected_grads = torch.autograd.grad(
        total(expected), list(theirs.values()), materialize_grads=True
    )
    torch.testing.assert_close(grads, expected_grads)


@pytest.mark.parametrize("reduce", REDUCES)
@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_either_alone(name: str, reduce: str) -> None:
    sample, theirs = ZOO[name], inputs(ZOO[name])
    expected = oracle(sample, theirs, edge_reduce=reduce).edge_attr.square().sum()
    for leaf in ("s", "edge_attr"):
        given = {k: v.detach() for k, v in inputs(sample).items()}
        given[leaf].requires_grad_()
        out = run(sample, given, edge_reduce=reduce).edge_attr.square().sum()
        grads = torch.autograd.grad(expected, theirs[leaf], retain_graph=True)
        torch.testing.assert_close(torch.autograd.grad(out, given[leaf]), grads)


@pytest.mark.parametrize("reduce", REDUCES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["undirected", "repeated, weighted"])
def test_gradcheck(name: str, backend: str, reduce: str) -> None:
    sample, leaves = ZOO[name], inputs(ZOO[name])

    def pooled(*tensors: Tensor) -> Tensor:
        given = dict(zip(leaves, tensors, strict=True))
        return run(sample, given, backend=backend, edge_reduce=reduce).edge_attr

    tensors = tuple(leaves.values())
    assert torch.autograd.gradcheck(pooled, tensors)
    assert torch.autograd.gradgradcheck(pooled, tensors)


def padded_inputs(sample: Sample) -> tuple[dict[str, Tensor], Tensor]:
    """The same in padded form, in which repeated edges have become one."""
    given = {k: v.detach() for k, v in inputs(sample).items()}
    rest = (sample.edge_index, sample.batch)
    size = {"batch_size": sample.batch_size}
    x, adj, mask = to_padded(given["x"], *rest, given.get("edge_weight"), **size)
    s = to_padded(given["s"], *rest, **size).x
    attr = to_dense_adj(*rest, given["edge_attr"], mask.size(1), **size)
    return {"x": x, "adj": adj, "s": s, "edge_attr": attr}, mask


@pytest.mark.parametrize("reduce", REDUCES)
@pytest.mark.parametrize("name", [n for n in ZOO if "repeated" not in n])
def test_padded_input_equals_flat_input(name: str, reduce: str) -> None:
    sample, flat = ZOO[name], inputs(ZOO[name])
    expected = run(sample, flat, edge_reduce=reduce)
    given, mask = padded_inputs(sample)
    for t in given.values():
        t.requires_grad_()
    # What stands in the rows of padding is not looked at.
    extra, nan, fill = 2, float("nan"), torch.nn.functional.pad
    out = diff_pool(
        fill(given["x"], (0, 0, 0, extra), value=nan),
        fill(given["adj"], (0, extra, 0, extra), value=nan),
        fill(given["s"], (0, 0, 0, extra), value=nan),
        edge_attr=fill(given["edge_attr"], (0, 0, 0, extra, 0, extra), value=nan),
        mask=fill(mask, (0, extra)),
        edge_reduce=reduce,
    )
    torch.testing.assert_close(out.edge_attr, expected.edge_attr)
    grads = torch.autograd.grad(out.edge_attr.square().sum(), given["s"])
    wanted = torch.autograd.grad(expected.edge_attr.square().sum(), flat["s"])
    torch.testing.assert_close(grads[0][mask], wanted[0])


def test_a_dense_graph_alone() -> None:
    given, _ = padded_inputs(ZOO["one-way path"])
    expected = diff_pool(**given).edge_attr
    one = {name: t.squeeze(0) for name, t in given.items()}
    torch.testing.assert_close(diff_pool(**one).edge_attr, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hard_clusters_sum_the_edges_between_them(backend: str) -> None:
    # Two triangles in a graph, clusters {0, 1}, {2} and {3}, {4, 5}.
    edge_index = torch.tensor([[0, 1, 2, 3, 4, 5, 0], [1, 2, 0, 4, 5, 3, 1]])
    edge_attr = torch.tensor(
        [[1.0, 10.0], [2, 20], [3, 30], [4, 40], [5, 50], [6, 60], [7, 70]]
    )
    s, batch = torch.tensor([0, 0, 1, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 1, 1])
    x, weight = torch.ones(6, 1), torch.tensor([1.0, 1, 1, 1, 1, 1, 3])
    given = {"batch": batch, "edge_attr": edge_attr, "backend": backend}
    out = diff_pool(x, edge_index, s, **given)
    expected = torch.tensor([[[8.0, 2], [3, 0]], [[0, 4], [6, 5]]])
    torch.testing.assert_close(out.edge_attr[..., 0], expected)
    torch.testing.assert_close(out.edge_attr[..., 1], 10 * expected)
    out = diff_pool(x, edge_index, s, edge_weight=weight, edge_reduce="mean", **given)
    expected[0, 0, 0] = (1 * 1 + 3 * 7) / 4
    torch.testing.assert_close(out.edge_attr[..., 0], expected)


@pytest.mark.parametrize("reduce", REDUCES)
def test_two_levels_are_one_by_the_product_of_their_assignments(reduce: str) -> None:
    sample = ZOO["weighted"]
    given = {k: v.detach() for k, v in inputs(sample).items()}
    level1 = run(sample, given, edge_reduce=reduce)
    s2 = torch.randn(3, 4, 2, dtype=torch.double)
    options = {"edge_reduce": reduce, "mask": level1.mask}
    out = diff_pool(level1.x, level1.adj, s2, edge_attr=level1.edge_attr, **options)
    s = torch.stack(
        [
            a @ s2.softmax(-1)[b]
            for a, b in zip(level1.assignment, sample.batch.tolist(), strict=True)
        ]
    )
    once = run(sample, {**given, "s": s.log()}, edge_reduce=reduce)
    torch.testing.assert_close(out.edge_attr, once.edge_attr)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_order_of_edges_does_not_matter(backend: str) -> None:
    sample = ZOO["weighted"]
    given = {k: v.detach() for k, v in inputs(sample).items()}
    expected = run(sample, given, backend=backend, edge_reduce="mean")
    order = torch.randperm(sample.edge_index.size(1))
    moved = {k: v[order] if k.startswith("edge") else v for k, v in given.items()}
    sample = replace(sample, edge_index=sample.edge_index[:, order])
    out = run(sample, moved, backend=backend, edge_reduce="mean")
    torch.testing.assert_close(out.edge_attr, expected.edge_attr)


@pytest.mark.parametrize("block", [1, 40, 10**9])
def test_features_in_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_edge_features, "BLOCK", block)
    test_equals_oracle("weighted", "sparse", "sum")


@pytest.mark.parametrize("reduce", REDUCES)
def test_a_budget_of_clusters(reduce: str) -> None:
    sample, given = ZOO["ordinary"], inputs(ZOO["ordinary"])
    budget = torch.tensor([1, 2, 3])
    out = run(sample, given, num_clusters=budget, edge_reduce=reduce)
    expected = oracle(
        sample, given, num_clusters=budget.tolist(), edge_reduce=reduce
    ).edge_attr
    torch.testing.assert_close(out.edge_attr, expected)
    assert not out.edge_attr[~out.mask].any()


TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("reduce", REDUCES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
def test_lower_precisions(
    name: str,
    dtype: torch.dtype,
    reduce: str,
    grouped: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not grouped:
        monkeypatch.setattr(_ragged, "HAS_GROUPED_MM", False)
    sample, tolerance = ZOO[name], TOLERANCE[dtype]
    given = {
        k: v.detach().to(dtype).requires_grad_() for k, v in inputs(sample).items()
    }
    wide = {k: v.detach().double().requires_grad_() for k, v in given.items()}
    out = run(sample, given, edge_reduce=reduce).edge_attr
    expected = oracle(sample, wide, edge_reduce=reduce).edge_attr
    assert out.dtype == dtype
    close = {"rtol": tolerance, "atol": 5 * tolerance}
    torch.testing.assert_close(out.double(), expected, **close)
    leaves = ["s", "edge_attr"]
    grads = torch.autograd.grad(out.sum(), [given[k] for k in leaves])
    wanted = torch.autograd.grad(expected.sum(), [wide[k] for k in leaves])
    for grad, want in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad.double(), want, **close)


def test_autocast_mixes_dtypes() -> None:
    sample, given = ZOO["weighted"], inputs(ZOO["weighted"])
    half = {k: v.detach().float() for k, v in given.items()}
    half["s"] = half["s"].bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = run(sample, half, edge_reduce="mean").edge_attr
    expected = oracle(sample, given, edge_reduce="mean").edge_attr
    torch.testing.assert_close(out.double(), expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mean_over_next_to_nothing_is_finite(backend: str) -> None:
    sample = ZOO["ordinary"]
    for scale in (1e1, 2e1, 3e1, 1e2, 1e4):
        given = {k: v.detach().float() for k, v in inputs(sample).items()}
        given["s"] = (scale * given["s"]).requires_grad_()
        attr = given["edge_attr"].requires_grad_()
        out = run(sample, given, backend=backend, edge_reduce="mean").edge_attr
        assert (out.amax((0, 1, 2)) <= attr.amax(0) + 1e-4).all()
        assert (out.amin((0, 1, 2)) >= attr.amin(0).clamp(max=0) - 1e-4).all()
        for grad in torch.autograd.grad(out.square().sum(), [given["s"], attr]):
            assert grad.isfinite().all()
            assert grad.abs().max() < 1e3


def test_deterministic_algorithms() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        runs = []
        for _ in range(2):
            given = inputs(ZOO["repeated, weighted"])
            out = run(ZOO["repeated, weighted"], given, edge_reduce="mean")
            runs.append(
                [out.edge_attr, *torch.autograd.grad(total(out), [*given.values()])]
            )
    finally:
        torch.use_deterministic_algorithms(False)
    for first, second in zip(*runs, strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("name", ["ordinary", "repeated, weighted", "unsorted edges"])
def test_the_same_without_looks_at_values(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(ZOO[name], inputs(ZOO[name]), edge_reduce="mean").edge_attr
    monkeypatch.setattr(_modes, "may_read_values", lambda _: False)
    out = run(ZOO[name], inputs(ZOO[name]), edge_reduce="mean").edge_attr
    torch.testing.assert_close(out, expected)


def test_the_result_with_and_without() -> None:
    sample, given = ZOO["empty graph at the end"], inputs(ZOO["empty graph at the end"])
    out = run(sample, given, num_clusters=torch.tensor([2, 3, 1]))
    assert "edge_attr=[3, 4, 4, 5]" in repr(out)
    batch, (x, edge_index, edge_weight, node_graph) = out.to_batch(), out.to_sparse()
    for name, value in [
        ("x", x),
        ("edge_index", edge_index),
        ("edge_weight", edge_weight),
        ("batch", node_graph),
        ("ptr", torch.tensor([0, 2, 5, 5])),
    ]:
        torch.testing.assert_close(batch[name], value)
    assert batch.num_graphs == 3
    # In the order of the edges: back in dense blocks they are what they were.
    dense = to_dense_adj(edge_index, node_graph, batch.edge_attr, 4, batch_size=3)
    torch.testing.assert_close(dense, out.edge_attr)
    bare = diff_pool(sample.x, sample.edge_index, sample.s, batch=sample.batch)
    assert bare.edge_attr is None
    assert "edge_attr" not in repr(bare)
    assert "edge_attr" not in bare.to_batch()


def test_edges_of_a_batch_run_from_source_to_target() -> None:
    sample, clusters = ZOO["one-way path"], torch.tensor([0, 2, 1, 1])
    edge_attr = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.double)
    out = diff_pool(sample.x, sample.edge_index, clusters, edge_attr=edge_attr)
    batch = out.to_batch()
    assert batch.edge_index.tolist() == [[0, 1, 2], [2, 1, 1]]
    assert batch.edge_attr.flatten().tolist() == [1, 3, 2]


@pytest.mark.parametrize("reduce", REDUCES)
def test_an_edge_masked_by_an_explainer_has_no_part(reduce: str) -> None:
    sample, attr = ZOO["ordinary"], features(ZOO["ordinary"])
    embed = GATv2Conv(3, 3, edge_dim=D).double()
    pool = DiffPool(embed, edge_reduce=reduce)
    mask = (torch.arange(len(attr)) % 3 > 0).double()
    set_masks(pool, mask, sample.edge_index, apply_sigmoid=False)
    edge_index, given = sample.edge_index, {"batch": sample.batch, "s": sample.s}
    out = pool(sample.x, edge_index, edge_attr=attr, **given)
    clear_masks(pool)
    kept = mask.bool()
    expected = pool(sample.x, edge_index[:, kept], edge_attr=attr[kept], **given)
    torch.testing.assert_close(out.edge_attr, expected.edge_attr)
