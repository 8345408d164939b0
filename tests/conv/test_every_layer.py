"""Every layer of PyG, as `embed` and as `assign`, on the first and a pooled level."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric import nn as pyg
from torch_geometric import typing
from torch_geometric.index import ptr2index
from torch_geometric.nn.conv import __all__ as every_layer
from torch_geometric.typing import WITH_TORCH_SPARSE

from conv.layers import (
    AS_DENSE,
    EVERY_LEVEL,
    EXCLUDED,
    NEED_MORE,
    NEED_WEIGHTS,
    OWN_EDGES,
    WITHOUT_WEIGHTS,
    C,
)
from conv.levels import SAMPLE, call, gradients, pooled_level
from pyg_diffpool import DiffPool, DiffPoolOutput

# Each node receives from the four before it, in the order that MeshCNNConv wants.
RING = torch.arange(8).repeat_interleave(4)
RING = torch.stack([(RING - torch.arange(1, 5).repeat(8)) % 8, RING])


def make(table: dict[str, Any], name: str) -> Module:
    if not hasattr(pyg, name.split()[0]):
        pytest.skip(f"torch_geometric has no {name}")
    if name == "PANConv" and not WITH_TORCH_SPARSE:
        pytest.skip("torch-sparse is not installed")
    torch.manual_seed(1)
    try:
        return table[name]()
    except ImportError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearest neighbours for OWN_EDGES, found without pyg-lib."""
    if not getattr(typing, "WITH_KNN", True):
        monkeypatch.setattr(typing, "WITH_KNN", True)
        monkeypatch.setattr(torch.ops.pyg, "knn", nearest, raising=False)


def nearest(
    x: Tensor, y: Tensor, ptr_x: Tensor, ptr_y: Tensor, k: int, *_: object
) -> Tensor:
    """The k nearest x of each y within its graph, `[2, k * len(y)]`, y first."""
    graph_x, graph_y = ptr2index(ptr_x), ptr2index(ptr_y)
    distance = torch.cdist(y.detach(), x.detach())
    apart = graph_y.unsqueeze(1) != graph_x
    found = distance.masked_fill(apart, float("inf")).topk(k, largest=False).indices
    return torch.stack([torch.arange(len(y)).repeat_interleave(k), found.flatten()])


def level1(name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Features with gradient, edges, and the graph of each node."""
    x, edge_index, batch = SAMPLE.x, SAMPLE.edge_index, SAMPLE.batch
    if name == "MeshCNNConv":
        x, edge_index, batch = x[:8], RING, batch[:8] * 0
    return x.clone().requires_grad_(), edge_index, batch


def by_pyg(
    module: Module,
    x: Tensor,
    edge_index: Tensor,
    batch: Tensor,
    weight: Tensor | None = None,
) -> Tensor:
    """The user's own call, on edges."""
    if isinstance(module, pyg.DirGNNConv):
        out = module.conv_out(x, edge_index.flip(0), weight)
        return (out + module.conv_in(x, edge_index, weight)) / 2 + module.lin(x)
    if isinstance(module, pyg.AntiSymmetricConv):
        return module(x, edge_index, weight)
    if isinstance(module, pyg.GPSConv):
        return module(x, edge_index, batch, edge_weight=weight)
    first = module[0] if isinstance(module, pyg.Sequential) else None
    if isinstance(first, pyg.FAConv) and weight is None and not first.normalize:
        weight = x.new_ones(edge_index.size(1))
    if isinstance(first, pyg.GCN2Conv | pyg.FAConv):
        return first(x, x, edge_index, weight)
    if weight is None and type(module).__name__ in NEED_WEIGHTS:
        weight = x.new_ones(edge_index.size(1))
    return call(module, x, edge_index, batch, weight)


def pool_of(module: Module, role: str) -> DiffPool:
    other = pyg.SAGEConv(C, C) if role == "embed" else None
    return DiffPool(module, other) if other else DiffPool(None, module)


def result(out: DiffPoolOutput, role: str) -> Tensor:
    return out.embedding if role == "embed" else out.assignment


@pytest.mark.parametrize("role", ["embed", "assign"])
@pytest.mark.parametrize("name", EVERY_LEVEL | WITHOUT_WEIGHTS)
def test_on_a_sparse_mini_batch(name: str, role: str) -> None:
    theirs = make(EVERY_LEVEL | WITHOUT_WEIGHTS, name)
    ours = copy.deepcopy(theirs)
    x, edge_index, batch = level1(name)
    out = pool_of(ours, role)(x, edge_index, batch=batch)
    rows, expected = result(out, role), by_pyg(theirs, x, edge_index, batch)
    if role == "assign":
        expected = expected.softmax(-1)
    assert rows.shape == (x.size(0), C)
    torch.testing.assert_close(rows, expected)
    found, wanted = gradients(rows, ours, x), gradients(expected, theirs, x)
    if name == "PPFConv" and wanted[0].isnan().any():
        pytest.skip("its gradients are NaN in PyG itself with this torch")
    torch.testing.assert_close(found, wanted)
    pooled = gradients(out.x, ours, x)
    assert all(g.isfinite().all() for g in [*found, *pooled] if g is not None)
    assert pooled[0].any()


@pytest.mark.parametrize("role", ["embed", "assign"])
@pytest.mark.parametrize("name", EVERY_LEVEL)
def test_on_a_pooled_level(name: str, role: str) -> None:
    theirs = make(EVERY_LEVEL, name)
    ours, level = copy.deepcopy(theirs), pooled_level()
    out = pool_of(ours, role)(level.x, level.adj, mask=level.mask)
    rows = result(out, role)[level.mask]
    assert rows.shape == (11, C)
    assert out.x.isfinite().all()
    if name in AS_DENSE:  # see test_conv.py for its values
        found = gradients(rows, ours, level.x, level.adj)
    else:
        x, edge_index, weight, batch = level.to_sparse()
        expected = by_pyg(theirs, x, edge_index, batch, weight)
        expected = expected.softmax(-1) if role == "assign" else expected
        torch.testing.assert_close(rows, expected)
        found = gradients(rows, ours, level.x, level.adj)
        wanted = gradients(expected, theirs, level.x, level.adj)
        if name in OWN_EDGES:  # which have no use for those of the level
            unused = [grads.pop(1) for grads in (found, wanted)]
            assert not any(g is not None and g.any() for g in unused)
        torch.testing.assert_close(found, wanted)
    pooled = gradients(out.x, ours, level.x, level.adj)
    assert all(g.isfinite().all() for g in [*found, *pooled] if g is not None)
    assert pooled[0].any()
    assert name in OWN_EDGES or found[1].any()  # the weights count


@pytest.mark.parametrize("role", ["embed", "assign"])
@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_without_weights_not_on_a_pooled_level(name: str, role: str) -> None:
    pool, level = pool_of(make(WITHOUT_WEIGHTS, name), role), pooled_level()
    with pytest.raises(ValueError, match=r"(?s)edge weights.*(Take|Give)"):
        pool(level.x, level.adj, mask=level.mask)


@pytest.mark.parametrize("name", NEED_MORE)
def test_what_a_layer_lacks_is_named(name: str) -> None:
    make_layer, message = NEED_MORE[name]
    x, edge_index, batch = level1(name)
    pool = DiffPool(make({name: make_layer}, name), pyg.SAGEConv(C, C))
    with pytest.raises((TypeError, ValueError), match=message):
        pool(x, edge_index, batch=batch)


def test_the_tables_name_every_layer() -> None:
    known = {*EVERY_LEVEL, *WITHOUT_WEIGHTS, *NEED_MORE, *EXCLUDED}
    unknown = [name for name in every_layer if name not in known]
    assert not unknown, (
        f"torch_geometric has layers that tests/conv/layers.py lacks: {unknown}. Put "
        "into one of its tables how each is made, or exclude it and say why."
    )
