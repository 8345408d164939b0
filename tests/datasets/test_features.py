import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Data

from pyg_diffpool.datasets.features import CappedDegree, DepthColumn, Standardize


@pytest.mark.parametrize(
    ("max_degree", "columns"), [(64, [2, 1, 1, 0]), (1, [1, 1, 1, 0])]
)
def test_degrees_are_one_hot_up_to_the_cap(max_degree, columns):
    edge_index = torch.tensor([[0, 0, 1, 2], [1, 2, 0, 0]])
    data = CappedDegree(max_degree)(Data(edge_index=edge_index, num_nodes=4))
    assert data.x.shape == (4, max_degree + 1)
    assert data.x.argmax(dim=1).tolist() == columns
    assert_close(data.x.sum(dim=1), torch.ones(4))


def test_depth_becomes_the_last_column():
    x, depth = torch.tensor([[3, 4], [5, 6]]), torch.tensor([[0], [1]])
    data = DepthColumn()(Data(x=x, node_depth=depth))
    assert data.x.tolist() == [[3, 4, 0], [5, 6, 1]]


def test_standardize_leaves_one_hot_and_constant_columns():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 4, generator=generator) * 3 + 1000
    x[:, 1] = torch.arange(50) % 2
    x[:, 2] = 7.0
    x[:, 3] = torch.arange(50) % 3
    graphs = [Data(x=x[:20]), Data(x=x[20:])]
    scale = Standardize.fit(graphs)
    scaled = torch.cat([scale(graph.clone()).x for graph in graphs])
    assert scaled.dtype == torch.float32
    assert_close(scaled[:, [0, 3]].mean(dim=0), torch.zeros(2), atol=1e-4, rtol=0)
    assert_close(scaled[:, [0, 3]].std(dim=0, correction=0), torch.ones(2))
    assert_close(scaled[:, 1], x[:, 1])
    assert_close(scaled[:, 2], torch.zeros(50))


def test_standardize_finds_constants_that_are_no_binary_fractions():
    constant = torch.full((1000, 1), 0.1, dtype=torch.double)
    scale = Standardize.fit([Data(x=constant)] * 3)
    assert scale.std.tolist() == [1.0]
    assert_close(scale(Data(x=constant + 0.5)).x, torch.full_like(constant, 0.5))
