"""Whole models in every mode of torch that users switch on."""

import copy
import pickle

import pytest
import torch
from torch_geometric.nn import SAGEConv

from graphs import sample
from modes.models import Paper, TwoLevels, arguments, make, results

KINDS = pytest.mark.parametrize("kind", [TwoLevels, Paper])


@KINDS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast(kind, dtype):
    model = make(kind)
    expected = results(model, model)
    with torch.autocast("cpu", dtype=dtype):
        found = results(model, model)
    assert found[1].dtype == torch.float32
    tolerance = {torch.float16: 0.02, torch.bfloat16: 0.1}[dtype]
    for value, exact in zip(found[:2], expected[:2], strict=True):
        torch.testing.assert_close(value.float(), exact, rtol=tolerance, atol=tolerance)
    every = (torch.cat([g.flatten() for g in r[2:]]) for r in (found, expected))
    found_all, exact_all = every
    assert (found_all - exact_all).norm() < 2 * tolerance * exact_all.norm()


@KINDS
def test_gradgradcheck(kind):
    model, given = make(kind).double(), sample([4, 3], channels=5, directed=False)
    edges, batch = given.edge_index, given.batch
    model(given.x, edges, batch)  # batch norm learns its scale, or its slope is steep
    model.eval()

    def run(x):
        return model(x, edges, batch)

    x = given.x.requires_grad_()
    assert torch.autograd.gradcheck(run, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, x, fast_mode=True)


@KINDS
def test_copies(kind):
    model, other = make(kind).eval(), kind().eval()
    other.load_state_dict(model.state_dict())
    clones = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), other]
    expected = results(model, model)
    for clone in clones:
        torch.testing.assert_close(results(clone, clone), expected, rtol=0, atol=0)
    if kind is Paper:  # and its output
        x, edge_index, batch, _ = arguments()
        out = model.net(x, edge_index, batch=batch)
        clone = pickle.loads(pickle.dumps(out))
        torch.testing.assert_close(clone.levels[1].adj, out.levels[1].adj)


@KINDS
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(kind, mode):
    model = make(kind).eval()
    expected = model(*arguments())
    with mode():
        found = model(*arguments())
    assert not any(t.requires_grad for t in found)
    torch.testing.assert_close(found, tuple(t.detach() for t in expected))


@KINDS
@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_hooks_see_every_layer_of_every_level(kind):
    model, seen = make(kind), []
    layers = [m for m in model.modules() if isinstance(m, SAGEConv)]
    for layer in layers:
        layer.register_forward_hook(lambda m, _, out: seen.append((m, out)))
        layer.register_full_backward_hook(lambda m, _, grad: seen.append((m, grad[0])))
    found = results(model, model)
    assert [m for m, _ in seen[: len(layers)]] == layers
    assert {m for m, _ in seen[len(layers) :]} == set(layers)
    assert not any("forward" in vars(layer) for layer in layers)
    plain = make(kind)
    torch.testing.assert_close(found, results(plain, plain))
