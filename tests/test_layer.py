"""`DiffPool`, one level, and levels on top of each other."""

import copy

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.nn import GCN, GIN, GraphSAGE

from graphs import ZOO, assert_same, layer_arguments, padded
from pyg_diffpool import DiffPool, diff_pool


def two_levels(gnn=GraphSAGE, **options):
    torch.manual_seed(0)
    level1 = DiffPool(gnn(3, 8, 2), gnn(3, 8, 2, out_channels=5), **options)
    level2 = DiffPool(gnn(8, 8, 1), gnn(8, 2, 1), **options)
    return [level1.double(), level2.double()]


def upper(pool, below):
    return pool(below.x, below.adj, mask=below.mask)


@pytest.mark.parametrize("gnn", [GCN, GraphSAGE, GIN])
@pytest.mark.parametrize("name", ["ordinary", "empty graph at the end", "no edges"])
def test_is_two_gnns_and_the_operator(name, gnn):
    sample, (pool, _) = ZOO[name], two_levels(gnn)
    given = layer_arguments(sample)
    z, s = (m(sample.x, sample.edge_index) for m in (pool.embed, pool.assign))
    out = pool(**given)
    assert_same(out, diff_pool(**{**given, "x": z, "s": s}))
    assert_close(out.embedding, z)


@pytest.mark.parametrize("ratio", [None, 0.3])
@pytest.mark.parametrize("name", ZOO)
def test_two_levels_flat_or_padded(name, ratio):
    sample, (pool1, pool2) = ZOO[name], two_levels(ratio=ratio)
    blocks = {k: v for k, v in padded(sample).items() if k != "s"}
    out1, from_blocks = pool1(**layer_arguments(sample)), pool1(**blocks)
    assert_same(out1, from_blocks)
    out2 = upper(pool2, out1)
    assert_same(out2, upper(pool2, from_blocks))
    if ratio is not None:
        sizes = sample.batch.bincount(minlength=sample.batch_size)
        expected = (ratio * sizes).ceil().clamp(max=5)
        assert_close(out1.mask.sum(1), expected.long())
    total = out2.x.sum() + out2.link_loss + out2.entropy_loss
    (grad,) = torch.autograd.grad(total, [next(pool1.parameters())])
    assert grad.isfinite().all()


def test_given_clusters_take_the_place_of_a_gnn():
    sample = ZOO["ordinary"]
    clusters = sample.s.argmax(-1)
    out = DiffPool(ratio=0.5)(**layer_arguments(sample), s=clusters)
    expected = torch.zeros(3, 4, 3).double()
    expected = expected.index_put((sample.batch, clusters), sample.x, accumulate=True)
    assert_close(out.x, expected)


def test_module_manners():
    given, (pool, _) = layer_arguments(ZOO["ordinary"]), two_levels(ratio=0.5)
    assert "ratio=0.5" in repr(pool)
    assert "backend='padded'" in repr(DiffPool(backend="padded"))
    out, clone = pool(**given), copy.deepcopy(pool)
    assert_same(clone(**given), out)
    clone.reset_parameters()
    assert not torch.allclose(clone(**given).x, out.x)
    clone.load_state_dict(pool.state_dict())
    assert_same(clone(**given), out)


def test_a_whole_number_of_clusters_is_not_rounded_up():
    x, edge_index = torch.randn(100, 3), torch.zeros(2, 0, dtype=torch.long)
    pool = DiffPool(assign=torch.nn.Linear(3, 50), ratio=0.07)
    assert pool(x, edge_index).mask.sum() == 7
