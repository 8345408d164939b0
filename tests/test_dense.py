"""`dense_diff_pool` against PyG's function."""

import pytest
import torch
from torch_geometric.nn import dense_diff_pool as pyg_dense_diff_pool

from pyg_diffpool import dense_diff_pool

SHAPES = [(1, 1, 1, 1), (3, 7, 5, 4), (2, 20, 3, 30)]


def make(shape: tuple[int, ...], dtype: torch.dtype, masked: bool) -> tuple[list, ...]:
    b, m, c, k = shape
    generator = torch.Generator().manual_seed(b * m + c)
    options = {"generator": generator, "dtype": torch.double}
    x = torch.randn(b, m, c, **options).to(dtype).requires_grad_()
    adj = (torch.rand(b, m, m, **options) < 0.4).to(dtype).requires_grad_()
    s = (3 * torch.randn(b, m, k, **options)).to(dtype).requires_grad_()
    mask = torch.rand(b, m, generator=generator) < 0.7 if masked else None
    return [x, adj, s], mask


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_pyg(
    shape: tuple[int, ...], dtype: torch.dtype, masked: bool, normalize: bool
) -> None:
    inputs, mask = make(shape, dtype, masked)
    ours = dense_diff_pool(*inputs, mask, normalize)
    theirs = pyg_dense_diff_pool(*inputs, mask, normalize)
    torch.testing.assert_close(ours, theirs)
    torch.manual_seed(0)
    factors = [torch.rand_like(t) for t in ours]
    grads, expected = (
        torch.autograd.grad(
            sum((t * f).sum() for t, f in zip(out, factors, strict=True)), inputs
        )
        for out in (ours, theirs)
    )
    torch.testing.assert_close(grads, expected)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("shape", [(2, 4, 3, 2), (2, 2, 1, 3)])
def test_gradients_of_both_orders(shape: tuple[int, ...], masked: bool) -> None:
    inputs, mask = make(shape, torch.float64, masked)

    def pool(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return dense_diff_pool(*inputs, mask)

    assert torch.autograd.gradcheck(pool, inputs)
    assert torch.autograd.gradgradcheck(pool, inputs)


@pytest.mark.parametrize("used", range(4))
def test_each_result_alone_has_its_gradient(used: int) -> None:
    inputs, _ = make((2, 4, 3, 2), torch.float64, masked=False)
    grads, expected = (
        torch.autograd.grad(
            pool(*inputs)[used].sum(),
            inputs,
            allow_unused=True,
            materialize_grads=True,
        )
        for pool in (dense_diff_pool, pyg_dense_diff_pool)
    )
    torch.testing.assert_close(grads, expected)


def test_two_dimensional_input() -> None:
    inputs, _ = make((1, 6, 3, 2), torch.float64, masked=False)
    flat = [t.squeeze(0) for t in inputs]
    torch.testing.assert_close(dense_diff_pool(*flat), pyg_dense_diff_pool(*flat))


def test_one_adjacency_for_all_graphs() -> None:
    (x, adj, s), _ = make((3, 7, 5, 4), torch.float64, masked=False)
    shared = adj[:1]
    torch.testing.assert_close(
        dense_diff_pool(x, shared, s), pyg_dense_diff_pool(x, shared, s)
    )


def test_entropy_is_finite_in_half_precision_where_that_of_pyg_is_not() -> None:
    inputs, _ = make((3, 7, 5, 4), torch.float16, masked=False)
    x, adj, s = (t.detach() for t in inputs)
    s = 20 * s  # probabilities that underflow
    entropy_loss = dense_diff_pool(x, adj, s)[3]
    assert entropy_loss.isfinite()
    assert pyg_dense_diff_pool(x, adj, s)[3].isnan()


def test_a_mask_makes_dtypes_that_differ_alike_as_in_pyg() -> None:
    (x, adj, s), mask = make((3, 7, 5, 4), torch.float64, masked=True)
    s = s.float()
    torch.testing.assert_close(
        dense_diff_pool(x, adj, s, mask), pyg_dense_diff_pool(x, adj, s, mask)
    )


def test_gradcheck_with_a_node_without_edges() -> None:
    (x, adj, s), mask = make((2, 4, 3, 3), torch.float64, masked=True)
    with torch.no_grad():
        adj[0, 1] = 0

    def results(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return dense_diff_pool(*inputs, mask)

    assert torch.autograd.gradcheck(results, (x, adj, s))
    assert torch.autograd.gradgradcheck(results, (x, adj, s))


@pytest.mark.parametrize("sharpness", [18.0, 20.0])
def test_near_a_perfect_clustering_in_float64(sharpness: float) -> None:
    label = torch.arange(12) // 4
    adj = (label.unsqueeze(0) == label.unsqueeze(1)).double().unsqueeze(0)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 12, 3, generator=generator, dtype=torch.double)
    s = sharpness * torch.nn.functional.one_hot(label, 3).double() + noise
    leaves = [s.clone().requires_grad_() for _ in range(2)]
    x = torch.zeros(1, 12, 1, dtype=torch.double)
    functions = dense_diff_pool, pyg_dense_diff_pool
    ours, theirs = (
        f(x, adj, leaf)[2] for f, leaf in zip(functions, leaves, strict=True)
    )
    assert 0 < theirs < 1e-6
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
    grads = [torch.autograd.grad(*p) for p in zip((ours, theirs), leaves, strict=True)]
    torch.testing.assert_close(*grads, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("k", [2, 9])
def test_under_autocast_as_in_pyg(k: int) -> None:
    x, adj, s = torch.randn(2, 5, 3), torch.rand(2, 5, 5), torch.randn(2, 5, k)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = dense_diff_pool(x, adj, s), pyg_dense_diff_pool(x, adj, s)
    exact = pyg_dense_diff_pool(x, adj, s)[3]
    for found, expected in zip(ours[:3], theirs[:3], strict=True):
        torch.testing.assert_close(
            found.float(), expected.float(), rtol=2e-2, atol=1e-2
        )
    assert ours[3].dtype == theirs[3].dtype == torch.float32
    torch.testing.assert_close(ours[3], exact)


@pytest.mark.parametrize(
    "single", [("x",), ("adj",), ("s",), ("x", "adj"), ("adj", "s")]
)
def test_one_for_all_graphs_as_in_pyg(single: tuple[str, ...]) -> None:
    x, adj, s = torch.randn(2, 5, 3), torch.rand(2, 5, 5), torch.randn(2, 5, 2)
    given = {"x": x, "adj": adj, "s": s}
    given |= {name: given[name][0] for name in single}
    torch.testing.assert_close(dense_diff_pool(**given), pyg_dense_diff_pool(**given))


def test_only_true_normalizes_as_in_pyg() -> None:
    x, adj, s = torch.randn(1, 5, 3), torch.rand(1, 5, 5), torch.randn(1, 5, 2)
    for normalize in (1, 0, True, False):
        ours, theirs = (
            f(x, adj, s, normalize=normalize)[2]
            for f in (dense_diff_pool, pyg_dense_diff_pool)
        )
        torch.testing.assert_close(ours, theirs)


def test_a_mask_in_between_is_refused() -> None:
    x, adj, s = torch.randn(1, 5, 3), torch.rand(1, 5, 5), torch.randn(1, 5, 2)
    with pytest.raises(ValueError, match=r"'mask' of 0 and 1 only \(got 0.5"):
        dense_diff_pool(x, adj, s, torch.full((1, 5), 0.5))
    dense_diff_pool(x, adj, s, torch.tensor([[1.0, 1, 1, 0, 0]]))


def test_one_assignment_and_adjacency_beside_a_mask_as_in_pyg() -> None:
    mask = torch.tensor([[True, True, True], [True, True, False]])
    given = torch.randn(2, 3, 1), torch.rand(1, 3, 3), torch.randn(1, 3, 2), mask
    torch.testing.assert_close(dense_diff_pool(*given), pyg_dense_diff_pool(*given))


@pytest.mark.parametrize("twice", [False, True])
def test_padding_that_is_no_number_has_no_gradient(twice: bool) -> None:
    mask = torch.tensor([[True, True, False]])
    x, adj = torch.randn(1, 3, 2), torch.rand(1, 3, 3)
    s = torch.randn(1, 3, 2).masked_fill(~mask.unsqueeze(-1), float("nan"))
    s.requires_grad_()
    out = dense_diff_pool(x, adj, s, mask)
    loss = out[0].sum() + out[2] + out[3]
    (grad,) = torch.autograd.grad(loss, s, create_graph=twice)
    assert grad.isfinite().all()
    assert not grad[0, 2].any()
