"""Every form of adjacency gives the same result, directed graphs included."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric import EdgeIndex
from torch_geometric.data import Data
from torch_geometric.nn import GATConv, GATv2Conv, GCNConv, GraphConv, TransformerConv
from torch_geometric.transforms import ToSparseTensor
from torch_geometric.typing import WITH_TORCH_SPARSE

from graphs import BACKENDS, ZOO, Sample, assert_same, flat, layer_arguments, pad, pool
from pyg_diffpool import DiffPool, diff_pool

Form = tuple[Any, Tensor | None]  # `adj`, and the weights beside it
NAMES = ["ordinary", "weighted", "unsorted edges", "isolated nodes"]


def adj_t(sample, layout):
    weight = sample.edge_weight
    data = Data(
        edge_index=sample.edge_index, edge_weight=weight, num_nodes=sample.x.size(0)
    )
    adj = ToSparseTensor(attr="edge_weight", layout=layout)(data).adj_t
    return adj if layout is None else adj.double()


def by_class(sample, sort_order, sized):
    """An `EdgeIndex`, and the weights in its order."""
    n = sample.x.size(0)
    size = (n, n) if sized else (None, None)
    edge_index = EdgeIndex(sample.edge_index.contiguous(), sparse_size=size)
    weight = sample.edge_weight
    if sort_order is not None:
        edge_index, order = edge_index.sort_by(sort_order, stable=True)
        weight = None if weight is None else weight[order]
    return edge_index, weight


def shuffled(sample):
    order = torch.randperm(sample.edge_index.size(1))
    weight = sample.edge_weight
    return sample.edge_index[:, order], None if weight is None else weight[order]


def sparse_package(sample):
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
MARKED = [
    pytest.param(f, marks=pytest.mark.accel) if f == "SparseTensor" else f
    for f in FORMS
]
EVERY_FORM = pytest.mark.parametrize("form", MARKED)
EVERY_FORM_AND_BLOCKS = pytest.mark.parametrize("form", [*MARKED, "dense blocks"])
LAYERS: dict[str, Callable[[int], Module]] = {
    "GraphConv": lambda k: GraphConv(3, k),
    "GCNConv": lambda k: GCNConv(3, k),
    "GATv2Conv": lambda k: GATv2Conv(3, k, edge_dim=1),
    "TransformerConv": lambda k: TransformerConv(3, k, edge_dim=1),
    "GATConv": lambda k: GATConv(3, k),
}


def given_as(form, sample):
    """The arguments of a layer, with the edges in this form."""
    if form == "dense blocks":
        x, adj, mask = pad(sample, sample.x)
        return {"x": x, "adj": adj, "mask": mask}
    adj, weight = FORMS[form](sample)
    return {**layer_arguments(sample), "adj": adj, "edge_weight": weight}


def layers(name):
    torch.manual_seed(0)
    return DiffPool(LAYERS[name](5), LAYERS[name](4)).double()


@EVERY_FORM
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_operator(name, backend, form):
    given = {**given_as(form, ZOO[name]), "s": ZOO[name].s}
    assert_same(diff_pool(**given, backend=backend), pool(ZOO[name]))


@EVERY_FORM_AND_BLOCKS
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", [*NAMES, "one-way path"])
def test_layer(name, layer, form):
    # Positive weights: PyG's GCN takes the square root of the degree.
    sample, level = ZOO[name].positive, layers(layer)
    if layer == "GATConv" and sample.edge_weight is not None:
        pytest.skip("GATConv has no edge weights")
    given = layer_arguments(sample)
    expected = level(**given)
    other = level(**{**given, "adj": sample.edge_index.flip(0)})
    assert not torch.allclose(other.embedding, expected.embedding) or name == NAMES[3]
    ours = given_as(form, sample)
    if name == "one-way path" and form != "dense blocks":  # one graph without a batch
        ours = {"x": ours["x"], "adj": ours["adj"]}
    out, parameters = level(**ours), list(level.parameters())
    assert_same(out, expected)
    found, wanted = (
        torch.autograd.grad(o.x.sum() + o.link_loss, parameters, allow_unused=True)
        for o in (out, expected)
    )
    torch.testing.assert_close(found, wanted)


def test_values_that_are_all_one_are_no_weights():
    sample, level = ZOO["ordinary"], layers("GATConv")
    adj = adj_t(sample, torch.sparse_csr)
    level(sample.x, adj, batch=sample.batch)
    with pytest.raises(ValueError, match="uses edge weights"):
        level(sample.x, adj * 2, batch=sample.batch)


def test_weights_beside_a_sparse_tensor_and_several_values_an_edge_are_errors():
    sample = ZOO["weighted"]
    given = {**flat(sample), "adj": adj_t(sample, torch.sparse_csr)}
    with pytest.raises(ValueError, match="no 'edge_weight' beside a sparse 'adj'"):
        diff_pool(**given)
    n, values = sample.x.size(0), torch.ones(sample.edge_index.size(1), 2).double()
    adj = torch.sparse_coo_tensor(sample.edge_index, values, (n, n, 2))
    with pytest.raises(ValueError, match="one value for each edge"):
        diff_pool(**{**given, "adj": adj, "edge_weight": None})
