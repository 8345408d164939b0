"""PyG's models and norms as the GNN of a level, on the first and on a pooled one."""

import copy
from collections.abc import Callable
from inspect import signature

import pytest
import torch
from torch import Tensor
from torch.nn import Linear, Module, ReLU
from torch_geometric import nn as pyg
from torch_geometric.nn.norm import __all__ as every_norm

from conv.levels import SAMPLE, C, call, gradients, pooled_level
from pyg_diffpool import DiffPool

DEGREES = torch.tensor([1, 2, 3, 2])


def deep(block: str) -> Module:
    return pyg.DeepGCNLayer(pyg.GCNConv(C, C), pyg.LayerNorm(C), ReLU(), block)


def jumping(mode: str, width: int) -> Module:
    layers = [
        (pyg.GCNConv(C, C), "x, edge_index, edge_weight -> x1"),
        (pyg.GraphConv(C, C), "x1, edge_index, edge_weight -> x2"),
        (lambda a, b: [a, b], "x1, x2 -> xs"),
        (pyg.JumpingKnowledge(mode, C, 1), "xs -> x"),
        Linear(width, C),
    ]
    return pyg.Sequential("x, edge_index, edge_weight", layers)


MODELS: dict[str, Callable[[], Module]] = {
    "GCN": lambda: pyg.GCN(C, 8, 2, C, norm="GraphNorm"),
    "GCN, lstm": lambda: pyg.GCN(C, 8, 2, C, jk="lstm"),
    "GAT": lambda: pyg.GAT(C, 8, 2, C, edge_dim=1, heads=2, jk="max"),
    "GAT, v2": lambda: pyg.GAT(C, 8, 2, C, edge_dim=1, v2=True, norm="InstanceNorm"),
    "PNA": lambda: pyg.PNA(
        C, 8, 2, C, aggregators=["std"], scalers=["linear"], deg=DEGREES, edge_dim=1
    ),
    "DeepGCN res+": lambda: deep("res+"),
    "DeepGCN res": lambda: deep("res"),
    "DeepGCN plain": lambda: deep("plain"),
    "GPS": lambda: pyg.GPSConv(C, pyg.GINEConv(Linear(C, C), edge_dim=1), heads=2),
    "GPS, performer": lambda: pyg.GPSConv(
        C, pyg.GCNConv(C, C), heads=2, attn_type="performer"
    ),
    "GPS, attention alone": lambda: pyg.GPSConv(C, None, heads=2),
    "GraphUNet": lambda: pyg.GraphUNet(C, 8, C, depth=1),
    "JumpingKnowledge cat": lambda: jumping("cat", 2 * C),
    "JumpingKnowledge max": lambda: jumping("max", C),
    "JumpingKnowledge lstm": lambda: jumping("lstm", C),
}
# Of sums of their own, which weights scale as in the dense layers.
AS_DENSE: dict[str, Callable[[], Module]] = {
    "GraphSAGE": lambda: pyg.GraphSAGE(C, 8, 2, C, norm="PairNorm"),
    "GIN": lambda: pyg.GIN(C, 8, 2, C, jk="cat"),
}
WITHOUT_WEIGHTS: dict[str, Callable[[], Module]] = {
    "GAT, plain": lambda: pyg.GAT(C, 8, 2, C),
    "PNA, plain": lambda: pyg.PNA(
        C, 8, 2, C, aggregators=["mean"], scalers=["identity"], deg=DEGREES
    ),
    "EdgeCNN": lambda: pyg.EdgeCNN(C, 8, 2, C),
}


def make(factory: Callable[[], Module]) -> Module:
    torch.manual_seed(0)
    module = factory()
    if isinstance(module, pyg.GPSConv):  # whose attention's dropout is 0, not random
        module.eval()
    return module


def by_pyg(
    module: Module,
    x: Tensor,
    edge_index: Tensor,
    batch: Tensor,
    weight: Tensor | None = None,
) -> Tensor:
    """The user's own call, on edges."""
    if isinstance(module, pyg.GPSConv):
        if isinstance(module.conv, pyg.GINEConv):
            weight = x.new_ones(edge_index.size(1)) if weight is None else weight
            return module(x, edge_index, batch, edge_attr=weight.unsqueeze(-1))
        weights = {} if module.conv is None else {"edge_weight": weight}
        return module(x, edge_index, batch, **weights)
    if isinstance(module, pyg.DeepGCNLayer):
        return module(x, edge_index, weight)
    if weight is None and isinstance(module, pyg.PNA) and module.convs[0].edge_dim:
        weight = x.new_ones(edge_index.size(1))
    return call(module, x, edge_index, batch, weight)


def check_on_edges(module: Module, expected_of: Callable[..., Tensor]) -> None:
    theirs, x = copy.deepcopy(module), SAMPLE.x.clone().requires_grad_()
    pool = DiffPool(module, pyg.SAGEConv(C, 3))
    out = pool(x, SAMPLE.edge_index, batch=SAMPLE.batch)
    expected = expected_of(theirs, x, SAMPLE.edge_index, SAMPLE.batch)
    torch.testing.assert_close(out.embedding, expected)
    found = gradients(out.embedding, module, x)
    torch.testing.assert_close(found, gradients(expected, theirs, x))
    assert all(g.isfinite().all() for g in found if g is not None)


def check_on_clusters(module: Module, expected_of: Callable[..., Tensor]) -> None:
    theirs, level = copy.deepcopy(module), pooled_level()
    pool = DiffPool(module, pyg.SAGEConv(C, 3))
    out = pool(level.x, level.adj, mask=level.mask).embedding[level.mask]
    x, edge_index, weight, batch = level.to_sparse()
    expected = expected_of(theirs, x, edge_index, batch, weight)
    torch.testing.assert_close(out, expected)
    inputs = level.x, level.adj
    found = gradients(out, module, *inputs)
    torch.testing.assert_close(found, gradients(expected, theirs, *inputs))
    assert all(g.isfinite().all() for g in found if g is not None)


@pytest.mark.parametrize("name", MODELS | AS_DENSE | WITHOUT_WEIGHTS)
def test_model_on_a_sparse_mini_batch(name: str) -> None:
    check_on_edges(make((MODELS | AS_DENSE | WITHOUT_WEIGHTS)[name]), by_pyg)


@pytest.mark.parametrize("name", MODELS)
def test_model_on_a_pooled_level(name: str) -> None:
    module = make(MODELS[name])
    takes = signature(module.forward).parameters
    if name == "GraphUNet" and "edge_weight" not in takes:
        pytest.skip("takes no edge weights in this torch_geometric")
    check_on_clusters(module, by_pyg)


@pytest.mark.parametrize("name", AS_DENSE)
def test_model_of_weighted_sums_on_a_pooled_level(name: str) -> None:
    module, level = make(AS_DENSE[name]), pooled_level()
    pool = DiffPool(module, pyg.SAGEConv(C, 3))
    out = pool(level.x, level.adj, mask=level.mask).embedding[level.mask]
    x, edge_index, weight, batch = level.to_sparse()
    flat = pool(x, edge_index, weight, batch)
    torch.testing.assert_close(out, flat.embedding)
    found = gradients(out, module, level.x, level.adj)
    assert all(g.isfinite().all() for g in found if g is not None)
    assert found[1].any()


@pytest.mark.parametrize("name", WITHOUT_WEIGHTS)
def test_model_without_weights_not_on_a_pooled_level(name: str) -> None:
    pool, level = DiffPool(make(WITHOUT_WEIGHTS[name]), Linear(C, 3)), pooled_level()
    with pytest.raises(ValueError, match=r"(?s)uses edge weights.*'edge_dim=1'"):
        pool(level.x, level.adj, mask=level.mask)


def test_a_checkpointed_layer() -> None:
    grads = []
    for ckpt_grad in (True, False):
        layer = make(lambda: deep("res"))
        layer.ckpt_grad = ckpt_grad
        x = SAMPLE.x.clone().requires_grad_()
        pool = DiffPool(layer, pyg.SAGEConv(C, 3))
        pool(x, SAMPLE.edge_index).embedding.square().sum().backward()
        grads.append([x.grad, *[p.grad for p in layer.parameters()]])
    torch.testing.assert_close(*grads)


NORMS: dict[str, Callable[[], Module]] = {
    "BatchNorm": lambda: pyg.BatchNorm(C),
    "InstanceNorm": lambda: pyg.InstanceNorm(C),
    "LayerNorm": lambda: pyg.LayerNorm(C),
    "GraphNorm": lambda: pyg.GraphNorm(C),
    "GraphSizeNorm": lambda: pyg.GraphSizeNorm(),
    "PairNorm": lambda: pyg.PairNorm(),
    "MeanSubtractionNorm": lambda: pyg.MeanSubtractionNorm(),
    "MessageNorm": lambda: pyg.MessageNorm(),
    "DiffGroupNorm": lambda: pyg.DiffGroupNorm(C, groups=2),
}
NOT_TRIED = {
    "HeteroBatchNorm": "heterogeneous: needs the type of each node",
    "HeteroLayerNorm": "heterogeneous: needs the type of each node",
}


def with_norm(name: str) -> Module:
    norm = NORMS[name]()
    taken = {"BatchNorm": "x", "DiffGroupNorm": "x", "MessageNorm": "x0, x"}
    steps = [
        (pyg.GCNConv(C, C), "x0, edge_index, edge_weight -> x"),
        (norm, f"{taken.get(name, 'x, batch')} -> x"),
    ]
    return pyg.Sequential("x0, edge_index, edge_weight, batch", steps)


@pytest.mark.parametrize("name", NORMS)
def test_norm(name: str) -> None:
    check_on_edges(make(lambda: with_norm(name)), by_pyg)
    check_on_clusters(make(lambda: with_norm(name)), by_pyg)


@pytest.mark.parametrize("name", sorted(NORMS.keys() - {"MessageNorm"}))
def test_norm_by_itself(name: str) -> None:
    check_on_edges(make(NORMS[name]), call)
    check_on_clusters(make(NORMS[name]), call)


def test_the_table_names_every_norm() -> None:
    unknown = [n for n in every_norm if n not in NORMS | NOT_TRIED]
    assert not unknown, f"torch_geometric has norms that NORMS lacks: {unknown}."
