"""GNNs in one compiled graph, and compiled parts within GNNs."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import Linear, Module, ReLU
from torch.testing import assert_close
from torch_geometric import nn as pyg

from pyg_diffpool._minibatch import PaddedGraph, flat_graph
from pyg_diffpool.conv import call_gnn

pytestmark = pytest.mark.skipif(
    torch.__version__ < (2, 6), reason="torch.compile needs torch >= 2.6 here"
)
C = 3
GNNS: dict[str, Callable[[], Module]] = {
    "GraphSAGE": lambda: pyg.GraphSAGE(C, 4, 2, norm="batch_norm", jk="cat"),
    "GCN": lambda: pyg.GCN(C, 4, 2),
    "GIN": lambda: pyg.GIN(C, 4, 2),
    "GraphConv": lambda: pyg.GraphConv(C, 4),
    "Sequential": lambda: pyg.Sequential(
        "x, edge_index",
        [(pyg.GCNConv(C, 4), "x, edge_index -> x"), ReLU(), Linear(4, 2)],
    ),
}


def on_blocks(gnn, x, adj, mask):
    return call_gnn(gnn, x, PaddedGraph(adj, mask))


def on_edges(gnn, x, edges, weight):
    return call_gnn(gnn, x, flat_graph(x, edges, weight))


def blocks(b, m):
    mask = torch.arange(m) < torch.randint(1, m, (b, 1))
    x, adj = torch.randn(b, m, C), torch.rand(b, m, m)
    return x, adj * mask.unsqueeze(1) * mask.unsqueeze(2), mask


def edges(n):
    edge_index = (torch.rand(n, n) < 0.5).nonzero().t().contiguous()
    return torch.randn(n, C), edge_index, torch.rand(edge_index.size(1))


FORMS: dict[str, tuple[Any, Callable[[], list[Any]]]] = {
    "blocks": (on_blocks, lambda: [blocks(*n) for n in ((3, 5), (4, 7), (2, 6))]),
    "blocks without a mask": (
        on_blocks,
        lambda: [(*blocks(*n)[:2], None) for n in ((3, 5), (4, 7), (2, 6))],
    ),
    "edges": (on_edges, lambda: [edges(n) for n in (6, 9)]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", GNNS)
def test_one_graph_for_all_sizes(name, form):
    torch.compiler.reset()
    torch.manual_seed(0)
    ours, (function, batches) = GNNS[name](), FORMS[form]
    theirs = copy.deepcopy(ours)
    options = {"fullgraph": True, "dynamic": True, "backend": "eager"}
    compiled = torch.compile(function, **options)
    for given in batches():
        assert_close(compiled(ours, *given), function(theirs, *given))
    assert_close(ours.state_dict(), theirs.state_dict())
    convs = [m for m in ours.modules() if isinstance(m, pyg.MessagePassing)]
    assert not any("forward" in vars(conv) for conv in convs)


def test_compiled_parts_are_not_compiled_for_each_call():
    torch.compiler.reset()
    calls = []

    def backend(module, _):
        calls.append(module)
        return module.forward

    plain, (x, *given) = pyg.GCNConv(C, C), edges(6)
    in_place = copy.deepcopy(plain)
    in_place.compile(backend=backend)
    part = torch.compile(copy.deepcopy(plain), backend=backend)
    steps = [(part, "x, edge_index -> x"), torch.compile(Linear(C, C), backend=backend)]
    model = pyg.Sequential("x, edge_index", steps)
    for _ in range(4):
        expected = on_edges(plain, x, *given)
        for module in (in_place, part):
            assert_close(on_edges(module, x, *given), expected)
        assert_close(on_edges(model, x, *given), model[1](expected))
    assert len(calls) == 1  # of the linear map
    assert in_place._compiled_call_impl is not None
