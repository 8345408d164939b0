"""Looks at indices, against their definitions."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.index import index2ptr

from pyg_diffpool.ops.ascent import ascends_within, rises_between, stays_between

N = 4
PAIRS = st.lists(st.tuples(st.integers(-1, N), st.integers(-1, N)), max_size=6)
GRAPHS = st.lists(st.integers(0, 2), min_size=N, max_size=N).map(sorted)


def edges(pairs: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    row, col = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).t().contiguous()
    return row, col


@given(PAIRS.map(sorted) | PAIRS)
def test_edges_in_order_are_told_from_others(pairs: list[tuple[int, int]]) -> None:
    row, col = edges(pairs)
    sources = [i for i, _ in pairs]
    in_range = all(0 <= i < N for i in sources)
    assert ascends_within(row, N) == (in_range and sources == sorted(sources))
    if ascends_within(row, N):
        crow = index2ptr(row, N)
        assert rises_between(col, crow) == (pairs == sorted(set(pairs)))


@given(PAIRS, GRAPHS)
def test_edges_between_graphs_and_out_of_range_are_seen(
    pairs: list[tuple[int, int]], batch: list[int]
) -> None:
    pairs = sorted({(i, j) for i, j in pairs if 0 <= i < N})
    row, col = edges(pairs)
    graph = torch.tensor(batch)
    expected = all(0 <= j < N and batch[i] == batch[j] for i, j in pairs)
    ptr = index2ptr(graph, 3)
    assert stays_between(col, index2ptr(row, N), ptr, graph) == expected
