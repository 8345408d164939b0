"""The number of clusters in use, against its definition."""

import math

import pytest
import torch

from graphs import ZOO
from pyg_diffpool import DiffPool, DiffPoolNet, diff_pool, to_padded
from pyg_diffpool.readout import perplexities, perplexity


def expected(assignment: torch.Tensor, batch: torch.Tensor) -> float:
    """Graph by graph, number by number."""
    used = []
    for b in batch.unique():
        mean = assignment[batch == b].double().mean(0).tolist()
        used.append(math.exp(-sum(p * math.log(p) for p in mean if p > 0)))
    return sum(used) / len(used)


@pytest.mark.parametrize("name", ZOO)
def test_equals_its_definition(name: str) -> None:
    sample = ZOO[name]
    options = {"batch": sample.batch, "batch_size": sample.batch_size}
    out = diff_pool(sample.x, sample.edge_index, sample.s, **options)
    used = perplexity(out.assignment, **options)
    assert float(used) == pytest.approx(expected(out.assignment, sample.batch))
    assert 1 - 1e-9 <= float(used) <= sample.s.size(1) + 1e-9


@pytest.mark.parametrize("name", ["ordinary", "empty graph in the middle"])
def test_padding_and_what_it_holds_do_not_count(name: str) -> None:
    sample = ZOO[name]
    s, _, mask = to_padded(sample.s.softmax(-1), sample.edge_index, sample.batch)
    used = expected(sample.s.softmax(-1), sample.batch)
    assert float(perplexity(s)) == pytest.approx(used)
    s = torch.nn.functional.pad(s, (0, 0, 0, 3))
    mask = torch.nn.functional.pad(mask, (0, 3))
    s[~mask] = float("nan")
    assert float(perplexity(s, mask=mask)) == pytest.approx(used)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_bounds(dtype: torch.dtype) -> None:
    one = torch.eye(4, dtype=dtype)[[2, 2, 2]]
    torch.testing.assert_close(perplexity(one), torch.tensor(1.0))
    torch.testing.assert_close(perplexity(torch.eye(4, dtype=dtype)), torch.tensor(4.0))
    many = torch.eye(4, dtype=dtype).repeat(10_000, 1)
    torch.testing.assert_close(perplexity(many), torch.tensor(4.0))


def test_every_level_of_a_net() -> None:
    torch.manual_seed(0)
    sample = ZOO["ordinary"]
    net = DiffPoolNet(3, 8, 2, [5, 3], ratio=0.5).double()
    first, second = net(sample.x, sample.edge_index, batch=sample.batch).levels
    used = perplexities((first, second), sample.batch)
    assert not any(value.requires_grad for value in used)
    rows, graph = second.assignment[first.mask], first.mask.nonzero()[:, 0]
    for value, given in zip(
        used, ((first.assignment, sample.batch), (rows, graph)), strict=True
    ):
        assert float(value) == pytest.approx(expected(*(t.detach() for t in given)))


def test_the_gradient_spreads_a_collapsed_assignment() -> None:
    sample, pool = ZOO["ordinary"], DiffPool()
    s = torch.zeros(15, 4).double()
    s[:, 0] = 2
    s.requires_grad_()
    out = pool(sample.x, sample.edge_index, batch=sample.batch, s=s)
    (grad,) = torch.autograd.grad(perplexity(out.assignment, sample.batch), s)
    assert (grad[:, 0] < 0).all()
    assert (grad[:, 1:] > 0).all()
