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
