"""`dense_diff_pool` against PyG's function."""

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.nn import dense_diff_pool as pyg_dense_diff_pool

from graphs import leaves
from pyg_diffpool import dense_diff_pool

SHAPES = [(1, 1, 1, 1), (3, 7, 5, 4), (2, 20, 3, 30)]
BOTH = dense_diff_pool, pyg_dense_diff_pool


def make(shape, masked=False, dtype=torch.double):
    b, m, c, k = shape
    generator = torch.Generator().manual_seed(b * m + c)
    options = {"generator": generator, "dtype": torch.double}
    given = {
        "x": torch.randn(b, m, c, **options).to(dtype),
        "adj": (torch.rand(b, m, m, **options) < 0.4).to(dtype),
        "s": (3 * torch.randn(b, m, k, **options)).to(dtype),
    }
    if masked:
        given["mask"] = torch.rand(b, m, generator=generator) < 0.7
    return given


def results(call, given, **options):
    """The four results, and the gradients of an uneven sum of them all."""
    given = leaves(given)
    out = call(**given, **options)
    torch.manual_seed(0)
    total = sum((t * torch.rand_like(t)).sum() for t in out)
    inputs = [given[name] for name in ("x", "adj", "s")]
    return [*out, *torch.autograd.grad(total, inputs)]


def assert_as_in_pyg(given, **options):
    assert_close(*(results(call, given, **options) for call in BOTH))


@pytest.mark.parametrize("normalize", [True, False, 1, 0])  # of which `True` alone does
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_as_in_pyg(shape, dtype, masked, normalize):
    assert_as_in_pyg(make(shape, masked, dtype), normalize=normalize)


@pytest.mark.parametrize(
    "single", [("x",), ("adj",), ("s",), ("x", "adj"), ("adj", "s"), ("x", "adj", "s")]
)
@pytest.mark.parametrize("first", [0, slice(1)], ids=["[M, ...]", "[1, M, ...]"])
def test_one_for_all_graphs_as_in_pyg(single, first):
    given = make((3, 7, 5, 4))
    assert_as_in_pyg({**given, **{name: given[name][first] for name in single}})


def test_one_adjacency_and_assignment_beside_a_mask_as_in_pyg():
    given = make((3, 7, 5, 4), masked=True)
    assert_as_in_pyg({**given, "adj": given["adj"][:1], "s": given["s"][:1]})


def test_a_mask_makes_dtypes_that_differ_alike_as_in_pyg():
    given = make((3, 7, 5, 4), masked=True)
    assert_as_in_pyg({**given, "s": given["s"].float()})


@pytest.mark.parametrize("used", range(4))
def test_each_result_alone_has_its_gradient(used):
    found = []
    for call in BOTH:
        given = leaves(make((2, 4, 3, 2)))
        options = {"allow_unused": True, "materialize_grads": True}
        total = call(**given)[used].sum()
        found.append(torch.autograd.grad(total, list(given.values()), **options))
    assert_close(*found)


@pytest.mark.parametrize("lonely", [False, True], ids=["", "a node without edges"])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("shape", [(2, 4, 3, 2), (2, 2, 1, 3)])
def test_gradients_of_both_orders(shape, masked, lonely):
    given = make(shape, masked)
    mask = given.pop("mask", None)
    if lonely:
        given["adj"][0, 1] = 0
    inputs = tuple(leaves(given).values())

    def pool(*inputs):
        return dense_diff_pool(*inputs, mask)

    assert torch.autograd.gradcheck(pool, inputs)
    assert torch.autograd.gradgradcheck(pool, inputs)


def test_entropy_is_finite_in_half_precision_where_that_of_pyg_is_not():
    given = make((3, 7, 5, 4), dtype=torch.float16)
    given["s"] = 20 * given["s"]  # probabilities that underflow
    assert dense_diff_pool(**given)[3].isfinite()
    assert pyg_dense_diff_pool(**given)[3].isnan()


@pytest.mark.parametrize("sharpness", [18.0, 20.0])
def test_near_a_perfect_clustering_in_float64(sharpness):
    label = torch.arange(12) // 4
    adj = (label.unsqueeze(0) == label.unsqueeze(1)).double().unsqueeze(0)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 12, 3, generator=generator, dtype=torch.double)
    s = sharpness * torch.nn.functional.one_hot(label, 3).double() + noise
    x, found = torch.zeros(1, 12, 1).double(), []
    for call in BOTH:
        leaf = s.clone().requires_grad_()
        loss = call(x, adj, leaf)[2]
        found.append([loss, *torch.autograd.grad(loss, leaf)])
    (ours, grad), (theirs, expected) = found
    assert 0 < theirs < 1e-6
    assert_close(ours, theirs, rtol=1e-6, atol=0)
    assert_close(grad, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("k", [2, 9])
def test_under_autocast_as_in_pyg(k):
    given = make((2, 5, 3, k), dtype=torch.float)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = (call(**given) for call in BOTH)
    for found, expected in zip(ours[:3], theirs[:3], strict=True):
        assert_close(found.float(), expected.float(), rtol=2e-2, atol=2e-2)
    assert ours[3].dtype == theirs[3].dtype == torch.float32
    assert_close(ours[3], pyg_dense_diff_pool(**given)[3])


def test_a_mask_in_between_is_refused():
    given = make((1, 5, 3, 2))
    with pytest.raises(ValueError, match=r"'mask' of 0 and 1 only \(got 0.5"):
        dense_diff_pool(**given, mask=torch.full((1, 5), 0.5))
    dense_diff_pool(**given, mask=torch.tensor([[1.0, 1, 1, 0, 0]]))


@pytest.mark.parametrize("twice", [False, True])
def test_padding_that_is_nan_has_no_gradient(twice):
    given, mask = make((1, 3, 2, 2)), torch.tensor([[True, True, False]])
    s = given["s"].masked_fill(~mask.unsqueeze(-1), float("nan")).requires_grad_()
    out = dense_diff_pool(given["x"], given["adj"], s, mask)
    (grad,) = torch.autograd.grad(out[0].sum() + out[2] + out[3], s, create_graph=twice)
    assert grad.isfinite().all()
    assert not grad[0, 2].any()
