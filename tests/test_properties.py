"""What must hold for any graphs: properties tried on generated mini-batches."""

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import Sample, assert_same, pool, sample
from pyg_diffpool import unpool

samples = st.builds(
    sample,
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any),
    edges=st.floats(0.0, 1.0),
    k=st.integers(1, 6),
    weighted=st.booleans(),
    directed=st.booleans(),
    seed=st.integers(0, 10**6),
)
backends = st.sampled_from(["sparse", "padded"])
options = settings(max_examples=60)


@options
@given(samples)
def test_backends_agree(drawn: Sample) -> None:
    assert_same(pool(drawn, backend="sparse"), pool(drawn, backend="padded"))


@options
@given(samples, backends)
def test_node_order_within_a_graph_does_not_matter(drawn: Sample, backend: str) -> None:
    n = drawn.x.size(0)
    order = torch.argsort(torch.rand(n) + drawn.batch)
    place = torch.empty_like(order)
    place[order] = torch.arange(n)
    edge_index = place[drawn.edge_index]
    permuted = replace(drawn, x=drawn.x[order], edge_index=edge_index, s=drawn.s[order])
    out, expected = pool(permuted, backend=backend), pool(drawn, backend=backend)
    assert_same(out, expected)
    torch.testing.assert_close(out.assignment, expected.assignment[order])


@options
@given(samples, backends)
def test_a_batch_is_its_graphs(drawn: Sample, backend: str) -> None:
    together = pool(drawn, backend=backend, normalize=False)
    square = 0.0
    for b in range(drawn.batch_size):
        nodes = (drawn.batch == b).nonzero().flatten()
        if not len(nodes):
            assert not together.x[b].any()
            assert not together.mask[b].any()
            continue
        start = int(nodes[0])
        inside = drawn.batch[drawn.edge_index[0]] == b
        weight = drawn.edge_weight
        alone = Sample(
            drawn.x[nodes],
            drawn.edge_index[:, inside] - start,
            drawn.s[nodes],
            torch.zeros(len(nodes), dtype=torch.long),
            1,
            None if weight is None else weight[inside],
        )
        out = pool(alone, backend=backend, normalize=False)
        torch.testing.assert_close(together.x[b], out.x[0])
        torch.testing.assert_close(together.adj[b], out.adj[0])
        square += out.link_loss.item() ** 2
    torch.testing.assert_close(
        together.link_loss.square().item(), square, rtol=1e-6, atol=1e-9
    )


@options
@given(samples, backends)
def test_an_edge_twice_is_an_edge_of_double_weight(drawn: Sample, backend: str) -> None:
    weight = drawn.edge_weight
    if weight is None:
        weight = torch.ones(drawn.edge_index.size(1), dtype=torch.double)
    edge_index = drawn.edge_index.repeat(1, 2)
    twice = replace(drawn, edge_index=edge_index, edge_weight=weight.repeat(2))
    double = replace(drawn, edge_weight=2 * weight)
    assert_same(pool(twice, backend=backend), pool(double, backend=backend))


@options
@given(samples)
def test_mass_is_kept(drawn: Sample) -> None:
    out = pool(drawn, backend="sparse")
    rows, total = out.assignment.sum(-1), out.x.sum((0, 1))
    torch.testing.assert_close(rows, torch.ones_like(rows))
    torch.testing.assert_close(total, drawn.x.sum(0))


@options
@given(samples)
def test_unpool_is_the_product_with_s(drawn: Sample) -> None:
    out = pool(drawn, backend="sparse")
    back = unpool(out.x, out.assignment, drawn.batch)
    expected = torch.stack(
        [
            row @ out.x[b]
            for row, b in zip(out.assignment, drawn.batch.tolist(), strict=True)
        ]
    )
    torch.testing.assert_close(back, expected)
