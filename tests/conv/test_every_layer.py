"""Every layer, model and norm of PyG, as `embed` and as `assign`, on every level."""

import copy
from dataclasses import replace
from inspect import signature

import pytest
import torch
from torch.nn import Linear
from torch.testing import assert_close
from torch_geometric import nn as pyg
from torch_geometric import typing
from torch_geometric.index import ptr2index
from torch_geometric.nn.conv import __all__ as every_layer
from torch_geometric.nn.norm import __all__ as every_norm
from torch_geometric.typing import WITH_TORCH_SPARSE

from conv.layers import (
    AS_DENSE,
    BY_EDGE_ATTR,
    BY_EDGE_WEIGHT,
    EVERY_LEVEL,
    EXCLUDED,
    NEED_MORE,
    NEED_WEIGHTS,
    NORMS,
    UNUSED_EDGES,
    WITHOUT_WEIGHTS,
    C,
)
from conv.levels import SAMPLE, by_pyg, gradients, pooled_level
from graphs import ZOO, pad
from pyg_diffpool import DiffPool

# Each node receives from the four before it, in the order that MeshCNNConv wants.
RING = torch.arange(8).repeat_interleave(4)
RING = torch.stack([(RING - torch.arange(1, 5).repeat(8)) % 8, RING])


def make(table, name):
    kind = name.split()[0]
    if kind.endswith("Conv") and not hasattr(pyg, kind):
        pytest.skip(f"torch_geometric has no {name}")
    if name == "PANConv" and not WITH_TORCH_SPARSE:
        pytest.skip("torch-sparse is not installed")
    torch.manual_seed(1)
    try:
        module = table[name]().double()
    except ImportError as error:
        pytest.skip(str(error))
    # The dropout of its attention is 0, not random.
    return module.eval() if isinstance(module, pyg.GPSConv) else module


@pytest.fixture(autouse=True)
def neighbours(monkeypatch):
    """Nearest neighbours for OWN_EDGES, found without pyg-lib."""
    if not getattr(typing, "WITH_KNN", True):
        monkeypatch.setattr(typing, "WITH_KNN", True)
        monkeypatch.setattr(torch.ops.pyg, "knn", nearest, raising=False)


def nearest(x, y, ptr_x, ptr_y, k, *_):
    """The k nearest x of each y within its graph, `[2, k * len(y)]`, y first."""
    graph_x, graph_y = ptr2index(ptr_x), ptr2index(ptr_y)
    distance = torch.cdist(y.detach(), x.detach())
    apart = graph_y.unsqueeze(1) != graph_x
    found = distance.masked_fill(apart, float("inf")).topk(k, largest=False).indices
    return torch.stack([torch.arange(len(y)).repeat_interleave(k), found.flatten()])


def graph(kind, name):
    """With C channels and positive weights, if any."""
    if name == "MeshCNNConv":
        rest = {"batch": SAMPLE.batch[:8] * 0, "batch_size": 1}
        return replace(SAMPLE, x=SAMPLE.x[:8], edge_index=RING, **rest)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ZOO[kind].x.size(0), C, generator=generator).double()
    return replace(ZOO[kind].positive, x=x)


def expected_of(name, theirs, x, edges, *rest):
    """Of the graph of each node and the weights, which those for one channel have."""
    batch, weight = rest
    if weight is None and (name in NEED_WEIGHTS or name in BY_EDGE_ATTR):
        weight = x.new_ones(edges.size(1))
    return by_pyg(theirs, x, edges, batch, weight)


def assert_as_expected(out, pool, mask, theirs, expected, inputs, name):
    """In both roles, by value, by gradient and in what the module keeps."""
    for role in ("embed", "assign"):
        ours = getattr(pool, role)
        found = out.embedding if role == "embed" else out.assignment
        rows = found if mask is None else found[mask]
        right = expected if role == "embed" else expected.softmax(-1)
        assert_close(rows, right)
        grads, wanted = (
            gradients(value, module, *inputs)
            for value, module in ((rows, ours), (right, theirs))
        )
        if name in UNUSED_EDGES and len(inputs) > 1:  # the adjacency has no part in it
            assert not any(
                g is not None and g.any() for g in (grads.pop(1), wanted.pop(1))
            )
        if name == "PPFConv" and wanted[0].isnan().any():
            pytest.skip("its gradients are NaN in PyG itself with this torch")
        assert_close(grads, wanted)
        assert_close(ours.state_dict(), theirs.state_dict())


BASIC = ["GCNConv", "SAGEConv", "GINConv", "GraphConv", "GATConv", "TAGConv", "EdgeCNN"]
BASIC = [n for n in EVERY_LEVEL | WITHOUT_WEIGHTS if n.split()[0].strip(",") in BASIC]
BASIC += ["GCN, batch norm", "GraphSAGE, cat", "GIN", "GAT, plain v2", "Linear", "MLP"]
UNWEIGHTED = [("ordinary", name) for name in EVERY_LEVEL | WITHOUT_WEIGHTS]
UNWEIGHTED += [
    (kind, name) for kind in ("undirected", "self-loops", "no edges") for name in BASIC
]
WEIGHTED = [("weighted", n) for n in BY_EDGE_WEIGHT | BY_EDGE_ATTR | UNUSED_EDGES]


@pytest.mark.parametrize("form", ["edges", "blocks"])
@pytest.mark.parametrize(("kind", "name"), UNWEIGHTED + WEIGHTED)
def test_on_the_first_level(kind, name, form):
    if (name, form) == ("MeshCNNConv", "blocks"):
        pytest.skip("goes by the order of the edges")
    theirs, given = make(EVERY_LEVEL | WITHOUT_WEIGHTS, name), graph(kind, name)
    pool = DiffPool(copy.deepcopy(theirs), copy.deepcopy(theirs))
    x, mask = given.x.requires_grad_(), None
    arguments = {"batch": given.batch, "edge_weight": given.edge_weight}
    adj = given.edge_index
    expected = expected_of(name, theirs, x, adj, given.batch, given.edge_weight)
    if form == "blocks":
        blocks, adj, mask = pad(given, x)
        arguments = {"mask": mask}
    else:
        blocks = x
    out = pool(blocks, adj, **arguments)
    assert_as_expected(out, pool, mask, theirs, expected, [x], name)
    assert out.x.isfinite().all()


@pytest.mark.parametrize("name", EVERY_LEVEL)
def test_on_a_pooled_level(name):
    theirs, level = make(EVERY_LEVEL, name), pooled_level()
    if (
        name == "GraphUNet"
        and "edge_weight" not in signature(theirs.forward).parameters
    ):
        pytest.skip("takes no edge weights in this torch_geometric")
    pool = DiffPool(copy.deepcopy(theirs), copy.deepcopy(theirs))
    out = pool(level.x, level.adj, mask=level.mask)
    edges, inputs = level.to_sparse(), [level.x, level.adj]
    if name in AS_DENSE:  # whose values are those of the flat form
        flat = DiffPool(copy.deepcopy(theirs), copy.deepcopy(theirs))(*edges)
        assert_close(out.embedding[level.mask], flat.embedding)
    else:
        x, edge_index, weight, batch = edges
        expected = expected_of(name, theirs, x, edge_index, batch, weight)
        assert_as_expected(out, pool, level.mask, theirs, expected, inputs, name)
    for ours, value in ((pool.embed, out.embedding), (pool.assign, out.x)):
        grads = gradients(value, ours, *inputs)
        assert all(g.isfinite().all() for g in grads if g is not None)
        assert grads[0].any()
        weights_count = grads[1] is not None and bool(grads[1].any())
        assert value is out.x or weights_count == (name not in UNUSED_EDGES)


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_without_weights_not_on_a_pooled_level(name):
    level, module = pooled_level(), make(WITHOUT_WEIGHTS, name)
    for gnns in ((module, Linear(C, C).double()), (None, module)):
        with pytest.raises(ValueError, match=r"(?s)edge weights.*(Take|Give)"):
            DiffPool(*gnns)(level.x, level.adj, mask=level.mask)


@pytest.mark.parametrize("name", NEED_MORE)
def test_what_a_layer_lacks_is_named(name):
    make_layer, message = NEED_MORE[name]
    pool = DiffPool(make({name: make_layer}, name), Linear(C, C).double())
    with pytest.raises((TypeError, ValueError), match=message):
        pool(SAMPLE.x, SAMPLE.edge_index, batch=SAMPLE.batch)


def test_the_tables_name_everything():
    known = {*EVERY_LEVEL, *WITHOUT_WEIGHTS, *NEED_MORE, *EXCLUDED, *NORMS}
    unknown = [name for name in [*every_layer, *every_norm] if name not in known]
    assert not unknown, (
        f"torch_geometric has layers that tests/conv/layers.py lacks: {unknown}. Put "
        "into one of its tables how each is made, or exclude it and say why."
    )


@pytest.mark.parametrize("form", ["dense", "sparse"])
@pytest.mark.parametrize("gnn", ["GATConv", "GAT, v2", "GENConv"])
def test_weights_of_one_are_weights(gnn, form):
    """Whatever the other graphs of the mini-batch, and whether gradients are wanted."""
    pool = DiffPool(make(BY_EDGE_ATTR, gnn).eval())
    path = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]).double()
    x = torch.randn(2, 3, C).double()
    batch = torch.arange(2).repeat_interleave(3)

    def embedded(*factors, gradient=False):
        adj = torch.stack([f * path for f in factors]).requires_grad_(gradient)
        s = torch.zeros(len(factors), 3, dtype=torch.long)
        if form == "dense":
            return pool(x[: len(factors)], adj, s=s, num_clusters=1).embedding[0]
        adj = torch.block_diag(*adj).to_sparse_csr()
        flat = x[: len(factors)].flatten(0, 1), adj
        options = {"batch": batch[: 3 * len(factors)], "num_clusters": 1}
        return pool(*flat, s=s.flatten(), **options).embedding[:3]

    alone = embedded(1.0)
    assert_close(embedded(1.0, 2.0), alone)
    assert_close(embedded(1.0 + 1e-9), alone)
    if form == "dense":
        assert_close(embedded(1.0, gradient=True), alone)
