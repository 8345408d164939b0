"""The sparse adjacency: sorting, summing, symmetry, looks at indices, products."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reference
from graphs import ZOO
from pyg_diffpool import _graph, diff_pool
from pyg_diffpool._checks import ascends_within
from pyg_diffpool._graph import SparseGraph, make_graph
from pyg_diffpool._sparse import csr

N = 4
PAIRS = st.lists(st.tuples(st.integers(-1, N), st.integers(-1, N)), max_size=6)
GRAPHS = st.lists(st.integers(0, 2), min_size=N, max_size=N).map(sorted)


def graph_from(edges, weight, n):
    return make_graph(edges, weight, torch.tensor([0, n]), n, torch.double)


def graph_of(sample):
    return graph_from(sample.edge_index, sample.edge_weight, sample.x.size(0))


def dense(sample):
    nodes = torch.arange(sample.x.size(0))
    return reference.adjacency(sample.edge_index, sample.weights, nodes)


@pytest.mark.parametrize("name", ZOO)
def test_rows_ascend_and_pairs_occur_once(name):
    graph, a = graph_of(ZOO[name]), dense(ZOO[name])
    assert (graph.row.diff() >= 0).all()
    value = graph.values(torch.double)
    torch.testing.assert_close(csr(graph.crow, graph.col, value).to_dense(), a)
    *_, crow, col, order = graph.pattern
    torch.testing.assert_close(csr(crow, col, value[order]).to_dense(), a.t())


@pytest.mark.parametrize("name", ZOO)
def test_products(name):
    sample, graph, a = ZOO[name], graph_of(ZOO[name]), dense(ZOO[name])
    torch.testing.assert_close(graph.mm(sample.x), a @ sample.x)
    torch.testing.assert_close(graph.mm(sample.x, transposed=True), a.t() @ sample.x)
    products = (sample.x @ sample.x.flip(0).t())[graph.row, graph.col.long()]
    found = graph.edge_products(sample.x, sample.x.flip(0))
    torch.testing.assert_close(found, products)


CYCLE = torch.tensor([[0, 1, 2], [1, 2, 0]])


@pytest.mark.parametrize("few", [_graph._FEW, 2])
def test_symmetry_is_never_claimed_wrongly_and_seen_where_it_is_common(
    few, monkeypatch
):
    monkeypatch.setattr(_graph, "_FEW", few)
    for name in ZOO:
        a = dense(ZOO[name])
        assert not graph_of(ZOO[name]).is_symmetric or torch.equal(a, a.t())
    assert graph_of(ZOO["undirected"]).is_symmetric
    assert not graph_from(CYCLE, None, 3).is_symmetric
    both = torch.cat([CYCLE, CYCLE.flip(0)], 1)
    both = both[:, torch.argsort(both[0] * 3 + both[1])]
    assert graph_from(both, None, 3).is_symmetric


@pytest.mark.parametrize("name", ["ordinary", "repeated, weighted", "no edges"])
def test_gradcheck(name):
    sample = ZOO[name]

    def products(weight, x, y):
        graph = graph_from(sample.edge_index, weight, x.size(0))
        return graph.mm(x), graph.mm(x, transposed=True), graph.edge_products(x, y)

    inputs = [
        t.clone().requires_grad_() for t in (sample.weights, sample.x, sample.x.flip(0))
    ]
    assert torch.autograd.gradcheck(products, inputs)
    assert torch.autograd.gradgradcheck(products, inputs)


def edges_of(pairs):
    return torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).t().contiguous()


@given(PAIRS.map(sorted) | PAIRS)
def test_edges_in_order_are_told_from_others(pairs):
    row, col = edges_of(pairs)
    sources = [i for i, _ in pairs]
    in_range = all(0 <= i < N for i in sources)
    assert ascends_within(row, N) == (in_range and sources == sorted(sources))
    if ascends_within(row, N):
        crow = _graph._compress(row, N)
        assert _graph._rises_between(col, crow) == (pairs == sorted(set(pairs)))


@given(PAIRS, GRAPHS)
def test_edges_between_graphs_and_out_of_range_are_seen(pairs, batch):
    pairs = sorted({(i, j) for i, j in pairs if 0 <= i < N})
    row, col = edges_of(pairs)
    graph, crow = torch.tensor(batch), _graph._compress(row, N)
    expected = all(0 <= j < N and batch[i] == batch[j] for i, j in pairs)
    ptr = _graph._compress(graph, 3)
    assert SparseGraph(row, col, crow, None, ptr).stays_within(graph) == expected


@pytest.mark.parametrize("weighted", [False, True])
def test_repeated_edges_are_counted_past_float32(weighted):
    edges = torch.tensor([[0], [1]]).expand(2, 2**24 + 3)
    weight = torch.ones(2**24 + 3) if weighted else None
    graph = make_graph(edges, weight, torch.tensor([0, 2]), 2, torch.double)
    assert graph.values(torch.double).sum() == 2**24 + 3


def test_more_edges_than_pairs_have_their_gradient():
    edges, x = torch.zeros(2, 5, dtype=torch.long), torch.ones(2, 1).double()
    weight = torch.arange(5.0, dtype=torch.double).requires_grad_()
    s = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.double)
    out = diff_pool(x, edges, s, edge_weight=weight, backend="sparse")
    (grad,) = torch.autograd.grad(out.adj[0, 0, 0], weight)
    torch.testing.assert_close(grad, out.assignment[0, 0].square().expand(5))


@pytest.mark.parametrize("bad", [[3_000_000, 1], [-3, 1], [1, 2_000_000]])
def test_transforms_refuse_edges_out_of_range(bad):
    edges, s = torch.tensor([bad]).t(), torch.randn(4, 2)
    with pytest.raises(ValueError, match="N - 1 = 3"):
        torch.func.grad(lambda x: diff_pool(x, edges, s).x.sum())(torch.randn(4, 3))
