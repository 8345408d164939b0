"""Every form of adjacency gives the same result, directed graphs included."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Data
from torch_geometric.nn import GraphConv
from torch_geometric.transforms import ToSparseTensor
from torch_geometric.typing import WITH_TORCH_SPARSE

from graphs import ZOO, Sample
from pyg_diffpool import DiffPool, DiffPoolOutput, diff_pool, to_padded

NAMES = ["ordinary", "weighted", "unsorted edges", "isolated nodes"]


def adj_t(sample: Sample, layout: torch.layout | None) -> Any:
    weight = sample.edge_weight
    data = Data(
        edge_index=sample.edge_index, edge_weight=weight, num_nodes=sample.x.size(0)
    )
    return ToSparseTensor(attr="edge_weight", layout=layout)(data).adj_t


def run(sample: Sample, adj: Any, **arguments: Any) -> DiffPoolOutput:
    return diff_pool(sample.x, adj, sample.s, batch=sample.batch, **arguments)


def assert_same(out: DiffPoolOutput, expected: DiffPoolOutput) -> None:
    for field in ["x", "adj", "mask", "link_loss", "entropy_loss"]:
        torch.testing.assert_close(getattr(out, field), getattr(expected, field))


@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr])
@pytest.mark.parametrize("name", NAMES)
def test_torch_sparse_tensor(name: str, layout: torch.layout) -> None:
    sample = ZOO[name]
    expected = run(sample, sample.edge_index, edge_weight=sample.edge_weight)
    assert_same(run(sample, adj_t(sample, layout).double()), expected)


@pytest.mark.accel
@pytest.mark.skipif(not WITH_TORCH_SPARSE, reason="torch-sparse is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_torch_sparse_package(name: str) -> None:
    sample = ZOO[name]
    expected = run(sample, sample.edge_index, edge_weight=sample.edge_weight)
    assert_same(run(sample, adj_t(sample, None)), expected)


@pytest.mark.parametrize("name", NAMES)
def test_edge_index_class(name: str) -> None:
    sample = ZOO[name]
    n = sample.x.size(0)
    edge_index = EdgeIndex(sample.edge_index.contiguous(), sparse_size=(n, n))
    expected = run(sample, sample.edge_index, edge_weight=sample.edge_weight)
    assert_same(run(sample, edge_index, edge_weight=sample.edge_weight), expected)


@pytest.mark.parametrize("backend", ["sparse", "padded"])
@pytest.mark.parametrize("name", NAMES)
def test_edges_in_any_order(name: str, backend: str) -> None:
    sample = ZOO[name]
    order = torch.randperm(sample.edge_index.size(1))
    weight = sample.edge_weight
    shuffled = None if weight is None else weight[order]
    out = run(
        sample, sample.edge_index[:, order], edge_weight=shuffled, backend=backend
    )
    assert_same(out, run(sample, sample.edge_index, edge_weight=weight))


def test_dense_without_batch_dimension() -> None:
    sample = ZOO["one-way path"]
    adj = to_padded(sample.x, sample.edge_index).adj
    expected = run(sample, sample.edge_index)
    assert_same(diff_pool(sample.x, adj[0], sample.s), expected)
    assert_same(diff_pool(sample.x, sample.edge_index, sample.s), expected)


def test_the_layer_takes_them_too() -> None:
    sample = ZOO["weighted"]
    torch.manual_seed(0)
    pool = DiffPool(GraphConv(3, 5), GraphConv(3, 4)).double()
    expected = pool(sample.x, sample.edge_index, sample.edge_weight, sample.batch)
    for layout in [torch.sparse_coo, torch.sparse_csr]:
        out = pool(sample.x, adj_t(sample, layout), batch=sample.batch)
        assert_same(out, expected)


def weight_twice(sample: Sample) -> Tensor:
    return run(
        sample,
        adj_t(sample, torch.sparse_csr),
        edge_weight=torch.ones(sample.edge_index.size(1)).double(),
    ).x


def test_weights_beside_a_sparse_tensor_are_an_error() -> None:
    with pytest.raises(ValueError, match="no 'edge_weight' beside a sparse 'adj'"):
        weight_twice(ZOO["weighted"])


def test_several_values_an_edge_are_an_error() -> None:
    sample = ZOO["weighted"]
    n = sample.x.size(0)
    values = torch.ones(sample.edge_index.size(1), 2).double()
    adj = torch.sparse_coo_tensor(sample.edge_index, values, (n, n, 2))
    with pytest.raises(ValueError, match="one value for each edge"):
        run(replace(sample, edge_weight=None), adj)
