"""`DiffPool`, one level, and levels on top of each other."""

import copy

import pytest
import torch
from torch_geometric.nn import GAT, GCN, GIN, GraphSAGE
from torch_geometric.nn.models.basic_gnn import BasicGNN

from graphs import ZOO, assert_same
from pyg_diffpool import DiffPool, DiffPoolOutput, diff_pool, to_padded, unpool


def two_levels(gnn: type[BasicGNN] = GraphSAGE, **options: object) -> list[DiffPool]:
    torch.manual_seed(0)
    level1 = DiffPool(gnn(3, 8, 2), gnn(3, 8, 2, out_channels=5), **options)
    level2 = DiffPool(gnn(8, 8, 1), gnn(8, 2, 1), **options)
    return [level1.double(), level2.double()]


@pytest.mark.parametrize("gnn", [GCN, GraphSAGE, GIN])
@pytest.mark.parametrize("name", ["ordinary", "empty graph at the end", "no edges"])
def test_is_two_gnns_and_the_operator(name: str, gnn: type[BasicGNN]) -> None:
    sample, (pool, _) = ZOO[name], two_levels(gnn)
    out = pool(
        sample.x, sample.edge_index, batch=sample.batch, batch_size=sample.batch_size
    )
    z = pool.embed(sample.x, sample.edge_index)
    expected = diff_pool(
        z,
        sample.edge_index,
        pool.assign(sample.x, sample.edge_index),
        batch=sample.batch,
        batch_size=sample.batch_size,
    )
    assert_same(out, expected)
    torch.testing.assert_close(out.embedding, z)


@pytest.mark.parametrize("ratio", [None, 0.3])
@pytest.mark.parametrize("name", ZOO)
def test_two_levels_flat_or_padded(name: str, ratio: float | None) -> None:
    sample, (pool1, pool2) = ZOO[name], two_levels(ratio=ratio)
    weight = sample.edge_weight
    sizes = sample.batch.bincount(minlength=sample.batch_size)
    x, adj, mask = to_padded(
        sample.x, sample.edge_index, sample.batch, weight, batch_size=len(sizes)
    )
    flat = pool1(
        sample.x, sample.edge_index, weight, sample.batch, batch_size=len(sizes)
    )
    padded = pool1(x, adj, mask=mask)
    assert_same(flat, padded)
    out = pool2(flat.x, flat.adj, mask=flat.mask)
    assert_same(out, pool2(padded.x, padded.adj, mask=padded.mask))
    if ratio is not None:
        expected = (ratio * sizes).ceil().clamp(max=5)
        torch.testing.assert_close(flat.mask.sum(1), expected.long())
    (grad,) = torch.autograd.grad(
        out.x.sum() + out.link_loss + out.entropy_loss, [next(pool1.parameters())]
    )
    assert grad.isfinite().all()


def test_a_pooled_graph_goes_on_as_a_sparse_one() -> None:
    sample, (pool1, pool2) = ZOO["ordinary"], two_levels(GCN)
    level1 = pool1(sample.x, sample.edge_index, batch=sample.batch)
    x, edge_index, edge_weight, batch = level1.to_sparse()
    expected = pool2(level1.x, level1.adj, mask=level1.mask)
    assert_same(pool2(x, edge_index, edge_weight, batch), expected)


def test_a_dense_graph_alone_needs_no_dimension_of_its_own() -> None:
    _, pool = two_levels(GCN)
    channels = pool.embed.in_channels
    x, adj = torch.randn(4, channels).double(), torch.rand(4, 4).double()
    expected = pool(x.unsqueeze(0), adj.unsqueeze(0))
    assert_same(pool(x, adj), expected)


def test_given_clusters_take_the_place_of_a_gnn() -> None:
    sample = ZOO["ordinary"]
    clusters = sample.s.argmax(-1)
    pool = DiffPool(ratio=0.5)
    out = pool(sample.x, sample.edge_index, batch=sample.batch, s=clusters)
    assert out.x.shape == (3, 4, 3)
    expected = torch.zeros(3, 4, 3).double()
    expected = expected.index_put((sample.batch, clusters), sample.x, accumulate=True)
    torch.testing.assert_close(out.x, expected)


def test_a_layer_that_drops_weights_is_found_at_the_second_level() -> None:
    sample, (pool1, pool2) = ZOO["ordinary"], two_levels(GAT)
    level1 = pool1(sample.x, sample.edge_index, batch=sample.batch)
    with pytest.raises(ValueError, match="edge weights"):
        pool2(level1.x, level1.adj, mask=level1.mask)


def test_down_and_up_again() -> None:
    sample, (pool, _) = ZOO["ordinary"], two_levels()
    out = pool(sample.x, sample.edge_index, batch=sample.batch)
    assert unpool(out.x, out.assignment, sample.batch).shape == out.embedding.shape
    x, adj, mask = to_padded(sample.x, sample.edge_index, sample.batch)
    padded = pool(x, adj, mask=mask)
    up = unpool(padded.x, padded.assignment)
    torch.testing.assert_close(up[mask], unpool(out.x, out.assignment, sample.batch))


def test_module_manners() -> None:
    sample, (pool, _) = ZOO["ordinary"], two_levels(ratio=0.5)
    assert "ratio=0.5" in repr(pool)
    assert "backend='padded'" in repr(DiffPool(backend="padded"))
    out = pool(sample.x, sample.edge_index, batch=sample.batch)
    clone = copy.deepcopy(pool)
    assert_same(clone(sample.x, sample.edge_index, batch=sample.batch), out)
    clone.reset_parameters()
    changed = clone(sample.x, sample.edge_index, batch=sample.batch)
    assert not torch.allclose(changed.x, out.x)
    clone.load_state_dict(pool.state_dict())
    assert_same(clone(sample.x, sample.edge_index, batch=sample.batch), out)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(dtype: torch.dtype) -> None:
    sample = ZOO["ordinary"].to(torch.float32)
    pool1, pool2 = (level.float() for level in two_levels())

    def run() -> DiffPoolOutput:
        out = pool1(sample.x, sample.edge_index, batch=sample.batch)
        return pool2(out.x, out.adj, mask=out.mask)

    expected = run()
    with torch.autocast("cpu", dtype=dtype):
        out = run()
    for field in ("x", "adj", "mask", "link_loss", "entropy_loss"):
        value = getattr(out, field)
        torch.testing.assert_close(
            value.to(getattr(expected, field).dtype),
            getattr(expected, field),
            rtol=0.05,
            atol=0.05,
        )
    out.link_loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in pool1.parameters())


def test_a_whole_number_of_clusters_is_not_rounded_up() -> None:
    x, edge_index = torch.randn(100, 3), torch.zeros(2, 0, dtype=torch.long)
    pool = DiffPool(assign=torch.nn.Linear(3, 50), ratio=0.07)
    assert pool(x, edge_index).mask.sum() == 7
