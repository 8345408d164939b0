"""The link prediction and entropy losses where they are hard to get right."""

import math
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor
from torch_geometric.nn import dense_diff_pool as pyg_dense_diff_pool

from graphs import ZOO
from pyg_diffpool import diff_pool, to_padded

BACKENDS = ["sparse", "padded"]


def cliques(n: int, k: int, sharpness: float) -> tuple[Tensor, Tensor]:
    """k disjoint cliques with self-loops and logits that nearly name them."""
    label = torch.arange(n) * k // n
    adj = (label.unsqueeze(0) == label.unsqueeze(1)).double()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(n, k, generator=generator, dtype=torch.double)
    return adj, sharpness * torch.eye(k, dtype=torch.double)[label] + noise


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sharpness", [8.0, 10.0, 12.0])
def test_near_a_perfect_clustering(sharpness: float, backend: str) -> None:
    n, k = 3000, 10
    adj, s = cliques(n, k, sharpness)
    s = s.float()
    leaf = s.double().requires_grad_()
    p = leaf.softmax(-1)
    expected = torch.linalg.vector_norm(adj - p @ p.t())
    (expected_grad,) = torch.autograd.grad(expected, leaf)
    ours = s.clone().requires_grad_()
    out = diff_pool(
        torch.zeros(n, 1), adj.nonzero().t(), ours, normalize=False, backend=backend
    )
    assert expected < 0.05 * n
    torch.testing.assert_close(out.link_loss.double(), expected, rtol=1e-4, atol=0)
    (grad,) = torch.autograd.grad(out.link_loss, ours)
    difference = (grad.double() - expected_grad).norm() / expected_grad.norm()
    assert difference < 1e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_at_zero_is_zero(backend: str, dtype: torch.dtype) -> None:
    adj, s = cliques(12, 3, 0.0)
    s = (1e4 * torch.eye(3)[torch.arange(12) * 3 // 12]).to(dtype).requires_grad_()
    edge_weight = torch.ones(int(adj.sum()), dtype=dtype, requires_grad=True)
    out = diff_pool(
        torch.zeros(12, 1, dtype=dtype),
        adj.nonzero().t(),
        s,
        edge_weight=edge_weight,
        backend=backend,
    )
    assert out.link_loss == 0
    grads = torch.autograd.grad(out.link_loss + out.entropy_loss, [s, edge_weight])
    for grad in grads:
        torch.testing.assert_close(grad, torch.zeros_like(grad))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_finite_in_half_precision(backend: str, dtype: torch.dtype) -> None:
    sample = ZOO["very uneven"]
    s = (30 * sample.s).to(dtype).requires_grad_()
    out = diff_pool(
        sample.x.to(dtype),
        sample.edge_index,
        s,
        batch=sample.batch,
        backend=backend,
    )
    (grad,) = torch.autograd.grad(out.link_loss + out.entropy_loss, s)
    assert out.link_loss.isfinite()
    assert out.entropy_loss.isfinite()
    assert grad.isfinite().all()


def test_entropy_of_an_even_assignment_is_log_k() -> None:
    sample = ZOO["ordinary"]
    out = diff_pool(
        sample.x, sample.edge_index, torch.zeros(15, 4).double(), batch=sample.batch
    )
    assert out.entropy_loss.item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("false", [0, numpy.bool_(False)])
def test_what_equals_false_does_not_normalize(false: Any) -> None:
    x, edge_index = torch.ones(3, 2), torch.tensor([[0, 1], [1, 2]])
    s = torch.eye(3)
    found, expected = (
        diff_pool(x, edge_index, s, normalize=normalize).link_loss
        for normalize in (false, False)
    )
    assert found == expected


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("normalize", ["padded", False])
@pytest.mark.parametrize(
    "name", ["ordinary", "very uneven", "more clusters than nodes"]
)
def test_normalisation_of_pyg_by_name(
    name: str, normalize: str | bool, backend: str
) -> None:
    sample = ZOO[name]
    x, adj, mask = to_padded(sample.x, sample.edge_index, sample.batch)
    s = to_padded(sample.s, sample.edge_index, sample.batch).x
    expected = pyg_dense_diff_pool(x, adj, s, mask, normalize is not False)
    out = diff_pool(
        sample.x,
        sample.edge_index,
        sample.s,
        batch=sample.batch,
        normalize=normalize,
        backend=backend,
    )
    torch.testing.assert_close(out.x, expected[0])
    torch.testing.assert_close(out.adj, expected[1])
    torch.testing.assert_close(out.link_loss, expected[2])
    if normalize == "padded":
        torch.testing.assert_close(out.entropy_loss, expected[3])


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
def test_squares_of_huge_and_tiny_weights(backend: str) -> None:
    edges = torch.tensor([[0, 1, 2], [1, 2, 3]])
    for scale in (1e20, 1e-25):
        given = []
        for dtype in (torch.float32, torch.float64):
            weight = torch.tensor([scale, 2 * scale, scale], dtype=dtype)
            weight.requires_grad_()
            s = torch.zeros(4, 2, dtype=dtype)
            s[:, 0] = -100.0 if scale < 1 else 0.0
            out = diff_pool(
                torch.zeros(4, 1, dtype=dtype),
                edges,
                s,
                edge_weight=weight,
                backend=backend if dtype == torch.float32 else "sparse",
                normalize=False,
            )
            (grad,) = torch.autograd.grad(out.link_loss, weight)
            given.append((out.link_loss.double().detach(), grad.double()))
        assert given[1][0] > 0
        torch.testing.assert_close(*given, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_cross_entropy_where_all_pairs_are_certain(
    backend: str, dtype: torch.dtype
) -> None:
    edges, x = torch.tensor([[0, 1], [1, 0]]), torch.zeros(2, 1, dtype=dtype)
    torch.manual_seed(0)
    out = diff_pool(x, edges, x, link="bce", backend=backend, normalize=False)
    expected = 4 * 0.5 * -math.log(1e-7)
    if backend == "padded":  # the other draws its pairs
        assert abs(float(out.link_loss) - expected) < 1e-4
    assert expected == pytest.approx(32.236, abs=1e-3)
