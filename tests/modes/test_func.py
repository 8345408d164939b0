"""`torch.func`, forward mode and batched gradients give what plain autograd gives."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call

from graphs import ZOO, padded, sample
from pyg_diffpool import DiffPoolNet, dense_diff_pool, diff_pool

Results = tuple[Tensor, ...]  # x, adj, the losses and the sum of the regularisers
Form = tuple[Callable[..., Results], Results]  # and its arguments, s last
TINY = sample([2, 3], k=2, channels=1, seed=4)


def results(*args, **options):
    """Those of the operator."""
    out = diff_pool(*args, **options)
    others = out.orthogonality_loss + out.collapse_loss + out.balance_loss
    return out.x, out.adj, out.link_loss, out.entropy_loss, others


def flat(given, **options):
    """The operator on a sparse mini-batch."""
    fixed = {"batch": given.batch, "batch_size": given.batch_size, **options}

    def call(x, *others):
        *weight, s = others
        weighted = {"edge_weight": weight[0]} if weight else {}
        return results(x, given.edge_index, s, **weighted, **fixed)

    weights = () if given.edge_weight is None else (given.edge_weight,)
    return call, (given.x, *weights, given.s)


def blocks(given, call):
    """A function of `x`, `adj`, `s` and `mask` on padded graphs."""
    x, adj, s, mask = padded(given).values()
    return partial(call, mask=mask), (x, adj, s)


def forms(given):
    """All ways to pool the same mini-batch."""
    return {
        "sparse": flat(given, backend="sparse"),
        "normalized": flat(given, backend="sparse", pooled_adj="normalized"),
        "by padding": flat(given, backend="padded"),
        "by padding, bce": flat(given, backend="padded", link="bce"),
        "padded": blocks(given, results),
        "padded, bce": blocks(given, partial(results, link="bce")),
        "dense": blocks(given, dense_diff_pool),
    }


BY_NAME = {
    f"{kind}, {name}": form
    for kind in ("ordinary", "weighted")
    for name, form in forms(ZOO[kind]).items()
}
FORMS = pytest.mark.parametrize("form", BY_NAME.values(), ids=BY_NAME)
TINY_FORMS = pytest.mark.parametrize("form", forms(TINY).values(), ids=forms(TINY))


def noise(like, seed=0):
    random = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(t.shape, generator=random).to(t) for t in like)


def gradients(form, directions):
    call, given = form
    leaves = [t.detach().clone().requires_grad_() for t in given]
    return torch.autograd.grad(call(*leaves), leaves, directions)


def assert_tangents(form, tangents, found):
    """`<u, J v> = <J^T u, v>`, for one result u after the other."""
    for i, tangent in enumerate(found):
        u = [torch.zeros_like(t) for t in found]
        u[i] = noise((tangent,), seed=i)[0]
        pairs = zip(gradients(form, tuple(u)), tangents, strict=True)
        expected = sum((grad * v).sum() for grad, v in pairs)
        torch.testing.assert_close((u[i] * tangent).sum(), expected)


@FORMS
def test_grad_and_vjp(form):
    call, given = form
    out, pull_back = torch.func.vjp(call, *given)
    weights = noise(out)
    expected = gradients(form, weights)
    torch.testing.assert_close(out, call(*given))
    torch.testing.assert_close(pull_back(weights), expected)

    def total(*floats):
        pairs = zip(weights, call(*floats), strict=True)
        return sum(((w * t).sum() for w, t in pairs), torch.zeros(()))

    found = torch.func.grad(total, tuple(range(len(given))))(*given)
    torch.testing.assert_close(found, expected)


@FORMS
def test_batched_gradients(form):
    call, given = form
    leaves = [t.detach().clone().requires_grad_() for t in given]
    out = call(*leaves)
    several = [noise(out, seed) for seed in range(3)]
    stacked = [torch.stack(both) for both in zip(*several, strict=True)]
    found = torch.autograd.grad(out, leaves, stacked, is_grads_batched=True)
    expected = zip(*(gradients(form, one) for one in several), strict=True)
    torch.testing.assert_close(found, tuple(map(torch.stack, expected)))


@FORMS
def test_jvp_and_forward_mode(form):
    call, given = form
    tangents = noise(given)
    out, by_jvp = torch.func.jvp(call, given, tangents)
    with forward_ad.dual_level():
        duals = map(forward_ad.make_dual, given, tangents)
        found = [forward_ad.unpack_dual(t) for t in call(*duals)]
    for primal in (out, tuple(t.primal for t in found)):
        torch.testing.assert_close(primal, call(*given))
    assert_tangents(form, tangents, by_jvp)
    torch.testing.assert_close(tuple(t.tangent for t in found), by_jvp)


@TINY_FORMS
def test_hessian_of_the_link_loss(form):
    call, (*others, s) = form

    def link_loss(logits):
        return call(*others, logits)[2]

    found = torch.func.hessian(link_loss)(s)
    expected = torch.autograd.functional.hessian(link_loss, s)
    torch.testing.assert_close(found, expected)


@FORMS
def test_vmap_over_assignments(form):
    call, (*others, s) = form
    several = torch.stack([s, 2 * s, s.flip(-1)])
    in_dims = (*[None] * len(others), 0)
    found = torch.func.vmap(call, in_dims)(*others, several)
    expected = zip(*(call(*others, one) for one in several), strict=True)
    torch.testing.assert_close(found, tuple(map(torch.stack, expected)))


@pytest.mark.parametrize("backend", ["sparse", "padded"])
@pytest.mark.parametrize("training", [True, False])
def test_grad_over_parameters(backend, training):
    torch.manual_seed(0)
    net = DiffPoolNet(3, 8, 2, [4, 2], num_layers=2, backend=backend).double()
    net.train(training)
    given = ZOO["ordinary"]
    inputs = {"adj": given.edge_index, "batch": given.batch, "batch_size": 3}
    parameters = dict(net.named_parameters())

    def loss(values, buffers):
        out = functional_call(net, (values, buffers), given.x, inputs)
        return out.out.square().sum() + out.auxiliary_loss

    values = {k: p.detach() for k, p in parameters.items()}
    found = torch.func.grad(loss)(values, copy.deepcopy(dict(net.named_buffers())))
    loss(parameters, dict(net.named_buffers())).backward()
    torch.testing.assert_close(found, {k: p.grad for k, p in parameters.items()})
