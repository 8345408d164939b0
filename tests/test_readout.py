"""Readouts, and the number of clusters in use, over real nodes only."""

import math

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.nn import global_add_pool, global_max_pool, global_mean_pool

from graphs import ZOO, pad, pool
from pyg_diffpool import DiffPool, DiffPoolNet, readout
from pyg_diffpool.readout import perplexities, perplexity

PYG = {"sum": global_add_pool, "mean": global_mean_pool, "max": global_max_pool}
NAN = float("nan")


@pytest.mark.parametrize("reduce", PYG)
@pytest.mark.parametrize("name", ZOO)
def test_readout_equals_pyg(name, reduce):
    sample = ZOO[name]
    expected = PYG[reduce](sample.x, sample.batch, sample.batch_size)
    flat = readout(sample.x, sample.batch, batch_size=sample.batch_size, reduce=reduce)
    assert_close(flat, expected)
    x, _, mask = pad(sample, sample.x)
    x = x.masked_fill(~mask.unsqueeze(-1), NAN)
    assert_close(readout(x, mask=mask, reduce=reduce), expected)
    alone = PYG[reduce](sample.x, None)
    assert_close(readout(sample.x, reduce=reduce), alone)
    assert_close(readout(sample.x.unsqueeze(0), reduce=reduce), alone)


def used_clusters(assignment, batch):
    """Graph by graph, number by number."""
    used = []
    for b in batch.unique():
        mean = assignment[batch == b].detach().double().mean(0).tolist()
        used.append(math.exp(-sum(p * math.log(p) for p in mean if p > 0)))
    return sum(used) / len(used)


@pytest.mark.parametrize("name", ZOO)
def test_perplexity_equals_its_definition(name):
    sample, k = ZOO[name], ZOO[name].s.size(1)
    assignment = pool(sample).assignment
    expected = pytest.approx(used_clusters(assignment, sample.batch))
    used = perplexity(assignment, sample.batch, batch_size=sample.batch_size)
    assert float(used) == expected
    assert 1 - 1e-9 <= float(used) <= k + 1e-9
    s, _, mask = pad(sample, assignment, max_num_nodes=80)
    assert float(perplexity(s)) == expected
    s[~mask] = NAN
    assert float(perplexity(s, mask=mask)) == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_bounds_of_the_perplexity(dtype):
    eye = torch.eye(4, dtype=dtype)
    for rows, expected in [(eye[[2, 2, 2]], 1.0), (eye, 4.0), (eye.repeat(9999, 1), 4)]:
        assert_close(perplexity(rows), torch.tensor(float(expected)))


def test_perplexities_of_every_level_of_a_net():
    torch.manual_seed(0)
    sample = ZOO["ordinary"]
    net = DiffPoolNet(3, 8, 2, [5, 3], ratio=0.5).double()
    first, second = net(sample.x, sample.edge_index, batch=sample.batch).levels
    used = perplexities((first, second), sample.batch)
    assert not any(value.requires_grad for value in used)
    rows, graph = second.assignment[first.mask], first.mask.nonzero()[:, 0]
    expected = [(first.assignment, sample.batch), (rows, graph)]
    assert [float(value) for value in used] == [
        pytest.approx(used_clusters(*given)) for given in expected
    ]


def test_the_gradient_of_the_perplexity_spreads_a_collapsed_assignment():
    sample, s = ZOO["ordinary"], torch.zeros(15, 4).double()
    s[:, 0] = 2
    s.requires_grad_()
    out = DiffPool()(sample.x, sample.edge_index, batch=sample.batch, s=s)
    (grad,) = torch.autograd.grad(perplexity(out.assignment, sample.batch), s)
    assert (grad[:, 0] < 0).all()
    assert (grad[:, 1:] > 0).all()
