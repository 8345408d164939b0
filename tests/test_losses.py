"""The link prediction and entropy losses where they are hard to get right."""

import math

import numpy
import pytest
import torch
from torch.testing import assert_close

from graphs import BACKENDS, ZOO, pool
from pyg_diffpool import _modes, diff_pool
from pyg_diffpool._level import softmax_backward


def cliques(n, k, sharpness):
    """k disjoint cliques with self-loops and logits that nearly name them."""
    label = torch.arange(n) * k // n
    adj = (label.unsqueeze(0) == label.unsqueeze(1)).double()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(n, k, generator=generator, dtype=torch.double)
    return adj, sharpness * torch.eye(k, dtype=torch.double)[label] + noise


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sharpness", [8.0, 10.0, 12.0])
def test_near_a_perfect_clustering(sharpness, backend):
    n, k = 3000, 10
    adj, s = cliques(n, k, sharpness)
    ours = s.float().requires_grad_()
    leaf = ours.detach().double().requires_grad_()
    p = leaf.softmax(-1)
    expected = torch.linalg.vector_norm(adj - p @ p.t())
    (expected_grad,) = torch.autograd.grad(expected, leaf)
    options = {"normalize": False, "backend": backend}
    out = diff_pool(torch.zeros(n, 1), adj.nonzero().t(), ours, **options)
    assert expected < 0.05 * n
    assert_close(out.link_loss.double(), expected, rtol=1e-4, atol=0)
    (grad,) = torch.autograd.grad(out.link_loss, ours)
    assert (grad - expected_grad).norm() < 1e-2 * expected_grad.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_at_zero_is_zero(backend, dtype):
    adj, _ = cliques(12, 3, 0.0)
    s = (1e4 * torch.eye(3)[torch.arange(12) // 4]).to(dtype).requires_grad_()
    weight = torch.ones(int(adj.sum()), dtype=dtype, requires_grad=True)
    options = {"edge_weight": weight, "backend": backend}
    x = torch.zeros(12, 1, dtype=dtype)
    out = diff_pool(x, adj.nonzero().t(), s, **options)
    assert out.link_loss == 0
    for grad in torch.autograd.grad(out.link_loss + out.entropy_loss, [s, weight]):
        assert_close(grad, torch.zeros_like(grad))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_finite_in_half_precision(backend, dtype):
    sample = ZOO["very uneven"]
    s = (30 * sample.s).to(dtype).requires_grad_()
    options = {"batch": sample.batch, "backend": backend}
    out = diff_pool(sample.x.to(dtype), sample.edge_index, s, **options)
    (grad,) = torch.autograd.grad(out.link_loss + out.entropy_loss, s)
    for value in (out.link_loss, out.entropy_loss, grad):
        assert value.isfinite().all()


def test_entropy_of_an_even_assignment_is_log_k():
    out = diff_pool(torch.ones(15, 1), torch.zeros(2, 0).long(), torch.zeros(15, 4))
    assert out.entropy_loss.item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("false", [0, numpy.bool_(False)])
def test_what_equals_false_does_not_normalize(false):
    found, expected = (
        pool(ZOO["ordinary"], normalize=value).link_loss for value in (false, False)
    )
    assert found == expected


@pytest.mark.parametrize("scale", [1e20, 1e-25])
@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
def test_squares_of_huge_and_tiny_weights(backend, scale):
    edges = torch.tensor([[0, 1, 2], [1, 2, 3]])
    given = []
    for dtype in (torch.float32, torch.float64):
        weight = torch.tensor([scale, 2 * scale, scale], dtype=dtype)
        weight.requires_grad_()
        s = torch.zeros(4, 2, dtype=dtype)
        s[:, 0] = -100.0 if scale < 1 else 0.0
        way = backend if dtype == torch.float32 else "sparse"
        options = {"edge_weight": weight, "backend": way, "normalize": False}
        out = diff_pool(torch.zeros(4, 1, dtype=dtype), edges, s, **options)
        (grad,) = torch.autograd.grad(out.link_loss, weight)
        given.append((out.link_loss.double().detach(), grad.double()))
    assert given[1][0] > 0
    assert_close(*given, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_entropy_of_what_is_certain_has_no_gradient(dtype):
    s = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=dtype)
    grad = softmax_backward(torch.zeros_like(s), s, None, 1.0)
    assert_close(grad, torch.zeros_like(s))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cross_entropy_where_all_pairs_are_certain(dtype):
    edges, x = torch.tensor([[0, 1], [1, 0]]), torch.zeros(2, 1, dtype=dtype)
    options = {"link": "bce", "backend": "padded", "normalize": False}
    out = diff_pool(x, edges, x, **options)
    assert float(out.link_loss) == pytest.approx(2 * -math.log(1e-7), abs=1e-4)


def test_an_infinite_norm_is_no_rounding(monkeypatch):
    monkeypatch.setattr(_modes, "may_read_values", lambda _: False)
    edges = torch.tensor([[0, 1, 2], [1, 2, 3]])
    weight = torch.tensor([1, 1e155, 1], dtype=torch.double)
    x, options = torch.randn(4, 2).double(), {"edge_weight": weight}
    out = diff_pool(x, edges, x, **options, normalize=False, backend="sparse")
    assert out.link_loss.isinf()
