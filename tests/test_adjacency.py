"""Every form of adjacency gives the same result, directed graphs included."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Module
from torch.utils._python_dispatch import TorchDispatchMode
from torch_geometric import EdgeIndex
from torch_geometric.data import Data
from torch_geometric.nn import (
    GATConv,
    GATv2Conv,
    GCNConv,
    GraphConv,
    TransformerConv,
)
from torch_geometric.transforms import ToSparseTensor
from torch_geometric.typing import WITH_TORCH_SPARSE

from graphs import ZOO, Sample, assert_same
from pyg_diffpool import DiffPool, DiffPoolOutput, diff_pool, to_padded

Form = tuple[Any, Tensor | None]  # `adj`, and the weights beside it
NAMES = ["ordinary", "weighted", "unsorted edges", "isolated nodes"]


def adj_t(sample: Sample, layout: torch.layout | None) -> Any:
    weight = sample.edge_weight
    data = Data(
        edge_index=sample.edge_index, edge_weight=weight, num_nodes=sample.x.size(0)
    )
    adj = ToSparseTensor(attr="edge_weight", layout=layout)(data).adj_t
    return adj if layout is None else adj.double()


def run(sample: Sample, adj: Any, **arguments: Any) -> DiffPoolOutput:
    return diff_pool(sample.x, adj, sample.s, batch=sample.batch, **arguments)


def by_class(sample: Sample, sort_order: str | None, sized: bool) -> Form:
    """An `EdgeIndex`, and the weights in its order."""
    n = sample.x.size(0)
    size = (n, n) if sized else (None, None)
    edge_index = EdgeIndex(sample.edge_index.contiguous(), sparse_size=size)
    weight = sample.edge_weight
    if sort_order is not None:
        edge_index, order = edge_index.sort_by(sort_order, stable=True)
        weight = None if weight is None else weight[order]
    return edge_index, weight


def shuffled(sample: Sample) -> Form:
    order = torch.randperm(sample.edge_index.size(1))
    weight = sample.edge_weight
    return sample.edge_index[:, order], None if weight is None else weight[order]


def sparse_package(sample: Sample) -> Form:
    if not WITH_TORCH_SPARSE:
        pytest.skip("torch-sparse is not installed")
    return adj_t(sample, None), None


FORMS: dict[str, Callable[[Sample], Form]] = {
    "in any order": shuffled,
    "EdgeIndex": lambda sample: by_class(sample, None, True),
    "EdgeIndex by row": lambda sample: by_class(sample, "row", True),
    "EdgeIndex by column": lambda sample: by_class(sample, "col", True),
    "EdgeIndex of no size": lambda sample: by_class(sample, "col", False),
    "torch COO": lambda sample: (adj_t(sample, torch.sparse_coo), None),
    "torch CSR": lambda sample: (adj_t(sample, torch.sparse_csr), None),
    "SparseTensor": sparse_package,
}
EVERY_FORM = pytest.mark.parametrize(
    "form",
    [
        pytest.param(f, marks=pytest.mark.accel) if f == "SparseTensor" else f
        for f in FORMS
    ],
)
LAYERS: dict[str, Callable[[int], Module]] = {
    "GraphConv": lambda k: GraphConv(3, k),
    "GCNConv": lambda k: GCNConv(3, k),
    "GATv2Conv": lambda k: GATv2Conv(3, k, edge_dim=1),
    "TransformerConv": lambda k: TransformerConv(3, k, edge_dim=1),
    "GATConv": lambda k: GATConv(3, k),
}


def positive(sample: Sample) -> Sample:
    """Positive weights: PyG's GCN takes the square root of the degree."""
    weight = sample.edge_weight
    return replace(sample, edge_weight=None if weight is None else weight.abs())


@EVERY_FORM
@pytest.mark.parametrize("backend", ["sparse", "padded"])
@pytest.mark.parametrize("name", NAMES)
def test_operator(name: str, backend: str, form: str) -> None:
    sample = ZOO[name]
    expected = run(sample, sample.edge_index, edge_weight=sample.edge_weight)
    adj, weight = FORMS[form](sample)
    assert_same(run(sample, adj, edge_weight=weight, backend=backend), expected)


@EVERY_FORM
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", NAMES)
def test_layer(name: str, layer: str, form: str) -> None:
    sample = positive(ZOO[name])
    if layer == "GATConv" and sample.edge_weight is not None:
        pytest.skip("GATConv has no edge weights")
    torch.manual_seed(0)
    pool = DiffPool(LAYERS[layer](5), LAYERS[layer](4)).double()
    expected = pool(sample.x, sample.edge_index, sample.edge_weight, sample.batch)
    reversed_edges = sample.edge_index.flip(0)
    other = pool(sample.x, reversed_edges, sample.edge_weight, sample.batch)
    assert not torch.allclose(other.embedding, expected.embedding) or name == NAMES[3]
    adj, weight = FORMS[form](sample)
    out = pool(sample.x, adj, weight, batch=sample.batch)
    assert_same(out, expected)
    found, wanted = (
        torch.autograd.grad(
            o.x.sum() + o.link_loss, list(pool.parameters()), allow_unused=True
        )
        for o in (out, expected)
    )
    torch.testing.assert_close(found, wanted)


@EVERY_FORM
@pytest.mark.parametrize("layer", LAYERS)
def test_one_graph_without_batch(layer: str, form: str) -> None:
    sample = ZOO["one-way path"]
    torch.manual_seed(0)
    pool = DiffPool(LAYERS[layer](5), LAYERS[layer](4)).double()
    expected = pool(sample.x, sample.edge_index, batch=sample.batch)
    assert_same(pool(sample.x, FORMS[form](sample)[0]), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layer", LAYERS)
def test_dense_blocks(layer: str, name: str) -> None:
    sample = positive(ZOO[name])
    if layer == "GATConv" and sample.edge_weight is not None:
        pytest.skip("GATConv has no edge weights")
    torch.manual_seed(0)
    pool = DiffPool(LAYERS[layer](5), LAYERS[layer](4)).double()
    weight = sample.edge_weight
    expected = pool(sample.x, sample.edge_index, weight, sample.batch)
    x, adj, mask = to_padded(sample.x, sample.edge_index, sample.batch, weight)
    assert_same(pool(x, adj, mask=mask), expected)


def test_dense_without_batch_dimension() -> None:
    sample = ZOO["one-way path"]
    adj = to_padded(sample.x, sample.edge_index).adj
    expected = run(sample, sample.edge_index)
    assert_same(diff_pool(sample.x, adj[0], sample.s), expected)
    assert_same(diff_pool(sample.x, sample.edge_index, sample.s), expected)


class Sorts(TorchDispatchMode):
    """Counts what is sorted."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        self.count += "sort" in name and "search" not in name
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("sort_order", ["row", "col"])
@pytest.mark.parametrize("name", ["ordinary", "weighted"])
def test_what_an_edge_index_has_sorted_is_not_sorted_again(
    name: str, sort_order: str
) -> None:
    sample = positive(ZOO[name])
    edge_index, weight = by_class(sample, sort_order, True)
    torch.manual_seed(0)
    pool = DiffPool(GraphConv(3, 5), GCNConv(3, 4)).double()

    def sorts(adj: Tensor) -> int:
        with Sorts() as seen:
            out = pool(sample.x, adj, weight, sample.batch, batch_size=3)
            (out.x.sum() + out.adj.square().sum()).backward()
        return seen.count

    assert sorts(edge_index.as_tensor()) >= 1
    assert sorts(edge_index) == 1  # for the CSC or CSR that it has not cached
    assert sorts(edge_index) == 0
    filled = by_class(sample, sort_order, True)[0].fill_cache_()
    assert sorts(filled) == 0


def test_repeated_edges_of_an_edge_index_are_summed() -> None:
    sample = ZOO["repeated, weighted"]
    expected = run(sample, sample.edge_index, edge_weight=sample.edge_weight)
    for sort_order in ["row", "col"]:
        adj, weight = by_class(sample, sort_order, True)
        assert_same(run(sample, adj, edge_weight=weight), expected)


def test_an_edge_index_must_not_join_two_graphs() -> None:
    sample = ZOO["ordinary"]
    edges = torch.cat([sample.edge_index, torch.tensor([[0], [7]])], 1)
    for sort_order in ["row", "col"]:
        adj, _ = by_class(replace(sample, edge_index=edges), sort_order, True)
        with pytest.raises(ValueError, match="an edge from node 0 of graph 0"):
            run(sample, adj)


def test_values_that_are_all_one_are_no_weights() -> None:
    sample = ZOO["ordinary"]
    torch.manual_seed(0)
    pool = DiffPool(GATConv(3, 5), GATConv(3, 4)).double()
    adj = adj_t(sample, torch.sparse_csr)
    pool(sample.x, adj, batch=sample.batch)
    with pytest.raises(ValueError, match="uses edge weights"):
        pool(sample.x, adj * 2, batch=sample.batch)


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
