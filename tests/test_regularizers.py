"""The regularisers of a result against the oracle, and where they are hard."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import reference
from graphs import (
    BACKENDS,
    ZOO,
    Arguments,
    flat,
    gradients,
    leaves,
    padded,
    pool,
    sample,
)
from pyg_diffpool import DiffPoolNet, DiffPoolOutput, diff_pool
from pyg_diffpool.readout import perplexity

LOSSES = list(reference.Regularizers._fields)
NO_EDGES = torch.zeros(2, 0, dtype=torch.long)


def make(name: str, budget: bool) -> Arguments:
    given = flat(ZOO[name])
    if budget:
        k, sizes = given["s"].size(1), given["batch"].bincount()
        given["num_clusters"] = sizes.clamp(max=max(k - 1, 1))
        given["batch_size"] = len(sizes)
    return leaves(given)


def values(out: Any) -> Tensor:
    return torch.stack([getattr(out, loss) for loss in LOSSES])


@pytest.mark.parametrize("budget", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ZOO)
def test_equals_oracle(name: str, backend: str, budget: bool) -> None:
    ours, theirs = make(name, budget), make(name, budget)
    out = diff_pool(**ours, backend=backend)
    expected = reference.regularizers(reference.diff_pool(**theirs), theirs["batch"])
    assert_close(values(out), values(expected))
    for loss in LOSSES:
        pair = gradients(getattr(out, loss), ours, "s")
        assert_close(pair, gradients(getattr(expected, loss), theirs, "s"))


@pytest.mark.parametrize("name", ["ordinary", "empty graph first", "very uneven"])
def test_padded_graphs_equal_sparse_ones(name: str) -> None:
    given = leaves(padded(ZOO[name]))
    out, expected = diff_pool(**given), pool(ZOO[name])
    assert_close(values(out), values(expected))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["ordinary", "empty graph in the middle"])
def test_differentiable_twice(name: str, backend: str) -> None:
    given = make(name, budget=True)

    def losses(s: Tensor) -> Tensor:
        return values(diff_pool(**{**given, "s": s}, backend=backend))

    assert torch.autograd.gradcheck(losses, given["s"])
    assert torch.autograd.gradgradcheck(losses, given["s"])


@pytest.mark.parametrize("k", [1, 3])
def test_least_and_largest(k: int) -> None:
    even = diff_pool(torch.ones(6, 1), NO_EDGES, torch.arange(6) % k, num_clusters=k)
    assert_close(values(even), torch.zeros(3))
    one = diff_pool(torch.ones(6, 1), NO_EDGES, torch.zeros(6).long(), num_clusters=k)
    largest = [math.sqrt(2 - 2 / math.sqrt(k)), math.sqrt(k) - 1, math.log(k)]
    assert_close(values(one), torch.tensor(largest))
    spread = diff_pool(torch.ones(6, 1), NO_EDGES, torch.zeros(6, k))
    assert_close(values(spread), torch.tensor([largest[0], 0, 0]))


@pytest.mark.parametrize("size", [1, 3, 10, 37])
@pytest.mark.parametrize("k", [2, 5, 7, 11])
def test_gradient_at_a_perfect_clustering_is_zero(k: int, size: int) -> None:
    gram = (size * torch.eye(k)).expand(2, k, k).clone().requires_grad_()
    none, mask = torch.zeros(()), torch.ones(2, k, dtype=torch.bool)
    out = DiffPoolOutput(none, none, mask, none, none, none, none, gram=gram)
    assert out.orthogonality_loss == 0
    (grad,) = torch.autograd.grad(out.orthogonality_loss, gram)
    assert_close(grad, torch.zeros_like(grad), rtol=0, atol=0)


def test_balance_counts_the_clusters_in_use() -> None:
    given = sample([50], k=6)
    out = pool(given)
    used = perplexity(out.assignment)
    assert_close(out.balance_loss, 6 * used.new_ones(()).log() + (6 / used).log())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 200.0])
@pytest.mark.parametrize("backend", BACKENDS)
def test_low_precision(backend: str, scale: float, dtype: torch.dtype) -> None:
    given = ZOO["very uneven"].to(dtype)
    s = (scale * given.s).requires_grad_()
    options = {"batch": given.batch, "backend": backend}
    out = diff_pool(given.x, given.edge_index, s, **options)
    wide = s.detach().double().requires_grad_()
    exact = diff_pool(given.x.double(), given.edge_index, wide, **options)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    found, expected = values(out), values(exact)
    assert found.dtype == torch.float32
    assert_close(found.double(), expected, rtol=0, atol=tolerance)
    (grad,) = torch.autograd.grad(found.sum(), s)
    (exact_grad,) = torch.autograd.grad(expected.sum(), wide)
    assert_close(grad.double(), exact_grad, rtol=0, atol=tolerance)


def test_compiled_equals_eager() -> None:
    torch.compiler.reset()
    compiled = torch.compile(lambda **g: values(diff_pool(**g)), fullgraph=True)
    for name in ("ordinary", "weighted"):
        results = []
        for call in (compiled, lambda **g: values(diff_pool(**g))):
            given = leaves(flat(ZOO[name]))
            out = call(**given)
            results.append([out, *gradients(out.square().sum(), given, "s")])
        assert_close(*results)


WEIGHTS = dict.fromkeys(("orthogonality", "collapse"), 0.0) | {"balance": 0.1}


@pytest.mark.parametrize("loss", [None, *LOSSES])
def test_weights_of_the_network(loss: str | None) -> None:
    torch.manual_seed(0)
    weights = {f"{name}_weight": weight for name, weight in WEIGHTS.items()}
    given_weight = {} if loss is None else {loss.replace("_loss", "_weight"): 0.25}
    sizes = {"num_clusters": [4, 2], "num_layers": 2}
    net = DiffPoolNet(3, 8, 2, **sizes, **given_weight).double()
    given = {name: v for name, v in flat(ZOO["ordinary"]).items() if name != "s"}
    out = net(**given)
    expected = out.link_loss + 0.1 * out.entropy_loss
    for name, weight in (weights | given_weight).items():
        each = [
            getattr(level, name.replace("_weight", "_loss")) for level in out.levels
        ]
        expected = expected + weight * sum(each)
    assert_close(out.auxiliary_loss, expected)
    parameter = net.pools[1].assign.lin.weight
    found = gradients(out.auxiliary_loss, {"p": parameter})
    assert_close(found, gradients(expected, {"p": parameter}))


def test_the_papers_losses() -> None:
    net = DiffPoolNet.paper(3, 2, max_num_nodes=16).double()
    given = {name: v for name, v in flat(ZOO["ordinary"]).items() if name != "s"}
    out = net(**given)
    assert_close(out.auxiliary_loss, out.link_loss + out.entropy_loss)
    assert net.pools[0].options.pooled_adj == "raw"
    assert DiffPoolNet(3, 8, 2, 2).pools[0].options.pooled_adj == "normalized"


def test_a_result_without_gram_says_so() -> None:
    none = torch.zeros(())
    out = DiffPoolOutput(*[none] * 7)
    with pytest.raises(ValueError, match=r"with 'gram'.*got None"):
        _ = out.collapse_loss


def test_weights_reach_the_network_that_is_trained() -> None:
    pytest.importorskip("lightning")
    from pyg_diffpool.train import DiffPoolModule

    task = (3, 2, "classification")
    module = DiffPoolModule(*task, collapse_weight=0.5, pooled_adj="raw")
    assert module.net.regularizer_weights["collapse_loss"] == 0.5
    assert module.net.regularizer_weights["balance_loss"] == 0.1
    assert module.net.pools[0].options.pooled_adj == "raw"
