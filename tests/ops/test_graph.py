"""The sparse adjacency: sorting, summing, symmetry, products."""

import pytest
import torch
from torch import Tensor

import reference
from graphs import ZOO, Sample
from pyg_diffpool.ops import SparseGraph, graph, make_graph, spmm


def graph_of(sample: Sample) -> SparseGraph:
    ptr = torch.tensor([0, sample.x.size(0)])
    return make_graph(sample.edge_index, sample.edge_weight, ptr, sample.x.size(0))


def dense(sample: Sample) -> Tensor:
    weight = sample.edge_weight
    if weight is None:
        weight = torch.ones(sample.edge_index.size(1)).double()
    nodes = torch.arange(sample.x.size(0))
    return reference.adjacency(sample.edge_index, weight, nodes)


@pytest.mark.parametrize("name", ZOO)
def test_rows_ascend_and_pairs_occur_once(name: str) -> None:
    graph, a = graph_of(ZOO[name]), dense(ZOO[name])
    assert (graph.row.diff() >= 0).all()
    torch.testing.assert_close(graph.matrix(torch.double).to_dense(), a)
    turned = graph.transpose.matrix(torch.double).to_dense()
    torch.testing.assert_close(turned, a.t())
    torch.testing.assert_close(graph.square_sum, a.square().sum())


@pytest.mark.parametrize("name", ZOO)
def test_symmetry_is_never_claimed_wrongly(name: str) -> None:
    graph, a = graph_of(ZOO[name]), dense(ZOO[name])
    if graph.is_symmetric:
        torch.testing.assert_close(a, a.t())


def test_symmetry_is_seen_where_it_is_common() -> None:
    assert graph_of(ZOO["undirected"]).is_symmetric
    assert not graph_of(ZOO["ordinary"]).is_symmetric


def test_symmetry_of_equal_degrees_is_told_apart() -> None:
    cycle = torch.tensor([[0, 1, 2], [1, 2, 0]])
    ptr = torch.tensor([0, 3])
    assert not make_graph(cycle, None, ptr, 3).is_symmetric
    both = torch.cat([cycle, cycle.flip(0)], 1)
    both = both[:, torch.argsort(both[0] * 3 + both[1])]
    assert make_graph(both, None, ptr, 3).is_symmetric


def test_symmetry_is_told_the_same_for_many_nodes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph, "_FEW", 2)
    test_symmetry_is_seen_where_it_is_common()
    test_symmetry_of_equal_degrees_is_told_apart()


@pytest.mark.parametrize("name", ["ordinary", "repeated, weighted", "no edges"])
def test_gradcheck(name: str) -> None:
    sample = ZOO[name]
    weight = sample.edge_weight
    if weight is None:
        weight = torch.ones(sample.edge_index.size(1)).double()
    ptr = torch.tensor([0, sample.x.size(0)])

    def product(weight: Tensor, x: Tensor) -> Tensor:
        graph = make_graph(sample.edge_index, weight, ptr, sample.x.size(0))
        return spmm(graph, graph.weight, x)

    inputs = (weight.clone().requires_grad_(), sample.x.clone().requires_grad_())
    torch.testing.assert_close(product(*inputs), dense(sample) @ sample.x)
    assert torch.autograd.gradcheck(product, inputs)
    assert torch.autograd.gradgradcheck(product, inputs)
