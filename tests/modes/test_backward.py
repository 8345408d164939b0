"""What users do between the operator and its backward, and within it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from graphs import sample
from pyg_diffpool import DiffPoolOutput, dense_diff_pool, diff_pool

SAMPLE = sample([6, 3, 5], k=4, channels=8).to(torch.float)
SINGLE = sample([7], k=1, channels=1).to(torch.float)
BACKENDS = pytest.mark.parametrize("backend", ["sparse", "padded"])


def pool(given: Any = SAMPLE, **options: Any) -> tuple[DiffPoolOutput, list[Tensor]]:
    leaves = [t.clone().requires_grad_() for t in (given.x, given.s)]
    x, s = leaves
    return diff_pool(x, given.edge_index, s, batch=given.batch, **options), leaves


@BACKENDS
@pytest.mark.parametrize("link", ["frobenius", "bce"])
@pytest.mark.parametrize("given", [SAMPLE, SINGLE], ids=["batch", "single"])
def test_results_can_be_reshaped_and_changed(
    backend: str, link: str, given: Any
) -> None:
    (expected, inputs), (found, others) = (
        pool(given, backend=backend, link=link) for _ in range(2)
    )
    total = (expected.x.relu().sum() + (2 * expected.adj).square().sum()).backward()
    assert total is None
    b = given.batch_size
    x, adj = found.x.view(b, -1), found.adj.view(b, -1)
    (torch.relu_(x).sum() + adj.mul_(2).square().sum()).backward()
    for one, other in zip(inputs, others, strict=True):
        torch.testing.assert_close(other.grad, one.grad)


@BACKENDS
def test_losses_can_be_added_in_place(backend: str) -> None:
    out, inputs = pool(backend=backend)
    expected = torch.autograd.grad(
        out.link_loss + out.entropy_loss, inputs, retain_graph=True, allow_unused=True
    )
    loss = out.link_loss
    loss += out.entropy_loss
    found = torch.autograd.grad(loss, inputs, allow_unused=True)
    torch.testing.assert_close(found, expected)


@BACKENDS
def test_a_change_of_the_edges_before_backward_changes_no_gradient(
    backend: str,
) -> None:
    edge_index = SAMPLE.edge_index.contiguous().clone()
    given = replace(SAMPLE, edge_index=edge_index)
    out, inputs = pool(given, backend=backend)
    total = out.x.square().sum() + out.adj.square().sum()
    expected = torch.autograd.grad(total, inputs, retain_graph=True)
    edge_index[1] = edge_index[1].flip(0)
    torch.testing.assert_close(torch.autograd.grad(total, inputs), expected)


@BACKENDS
def test_a_change_of_the_assignment_is_allowed_and_gives_no_wrong_gradient(
    backend: str,
) -> None:
    (out, inputs), (other, others) = (pool(backend=backend) for _ in range(2))
    expected = torch.autograd.grad(other.adj.square().sum(), others, allow_unused=True)
    out.assignment.mul_(2)
    if backend == "sparse":  # where backward wants it
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.adj.square().sum().backward()
    else:
        total = out.adj.square().sum()
        found = torch.autograd.grad(total, inputs, allow_unused=True)
        torch.testing.assert_close(found, expected)


@BACKENDS
@pytest.mark.parametrize("batch", [SAMPLE.batch, None], ids=["batch", "single"])
def test_backward_within_autocast_is_that_without(
    backend: str, batch: Tensor | None
) -> None:
    found = []
    for enabled in (False, True):
        given = replace(SAMPLE, batch=batch)
        attr = torch.ones(given.edge_index.size(1), 2).requires_grad_()
        out, inputs = pool(given, backend=backend, edge_attr=attr)
        total = out.x.sum() + out.adj.square().sum() + out.link_loss
        total = total + out.edge_attr.square().sum()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            total.backward()
        found.append([t.grad for t in (*inputs, attr)])
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


@BACKENDS
@pytest.mark.parametrize("learned", ["x", "edge_weight"])
def test_second_derivatives_where_the_logits_are_fixed(
    backend: str, learned: str
) -> None:
    given = SAMPLE.to(torch.double)
    weight = torch.rand(given.edge_index.size(1), dtype=torch.double)

    def total(value: Tensor) -> Tensor:
        named = {"x": given.x, "edge_weight": weight, learned: value}
        more = {"edge_weight": named["edge_weight"], "batch": given.batch}
        out = diff_pool(named["x"], given.edge_index, given.s, backend=backend, **more)
        return out.x.square().sum() + out.adj.square().sum() + out.link_loss

    value = {"x": given.x, "edge_weight": weight}[learned].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(total, value)


@pytest.mark.parametrize("learned", [0, 1])
def test_second_derivatives_of_the_dense_function(learned: int) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 5, 3), (2, 5, 5), (2, 5, 2))
    given = [torch.rand(s, generator=generator, dtype=torch.double) for s in shapes]
    given[learned].requires_grad_()

    def total(value: Tensor) -> Tensor:
        arguments = [*given]
        arguments[learned] = value
        out = dense_diff_pool(*arguments)
        return out[0].square().sum() + out[1].square().sum() + out[2]

    assert torch.autograd.gradgradcheck(total, given[learned])


def test_repeated_edges_do_not_saturate_in_half_precision() -> None:
    edges = torch.tensor([[0] * 400, [1] * 400])
    s = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
    half = torch.bfloat16
    out = diff_pool(
        torch.ones(2, 4, dtype=half),
        edges,
        s.to(half),
        edge_weight=torch.ones(400, dtype=half),
        backend="sparse",
    )
    assert float(out.adj[0, 0, 1]) == 400
    torch.set_default_dtype(half)
    try:
        out = diff_pool(torch.ones(2, 4, dtype=torch.float), edges, s, backend="sparse")
    finally:
        torch.set_default_dtype(torch.float)
    assert float(out.adj[0, 0, 1]) == 400


@BACKENDS
def test_the_default_device_does_not_matter(backend: str) -> None:
    expected, inputs = pool(backend=backend)
    expected.link_loss.backward()
    with torch.device("meta"):
        found, others = pool(backend=backend)
        found.link_loss.backward()
    torch.testing.assert_close(found.adj, expected.adj)
    torch.testing.assert_close(others[1].grad, inputs[1].grad)
