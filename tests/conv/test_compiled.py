"""GNNs in one compiled graph, and compiled parts within GNNs."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import Linear, Module, ReLU
from torch_geometric import nn as pyg

from pyg_diffpool._minibatch import FlatGraph, PaddedGraph, flat_graph
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


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, dynamic=True, backend="eager")


def padded_form(b: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
    mask = torch.arange(m) < torch.randint(1, m, (b, 1))
    x, adj = torch.randn(b, m, C), torch.rand(b, m, m)
    return x, adj * mask.unsqueeze(1) * mask.unsqueeze(2), mask


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("name", GNNS)
def test_on_padded_graphs(name: str, masked: bool) -> None:
    torch.manual_seed(0)
    ours = GNNS[name]()
    theirs = copy.deepcopy(ours)

    def run(x: Tensor, adj: Tensor, mask: Tensor, gnn: Module = ours) -> Tensor:
        return call_gnn(gnn, x, PaddedGraph(adj, mask if masked else None))

    in_one = compiled(run)
    for shape in ((3, 5), (4, 7), (2, 6)):
        given = padded_form(*shape)
        torch.testing.assert_close(in_one(*given), run(*given, theirs))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    convs = [m for m in ours.modules() if isinstance(m, pyg.MessagePassing)]
    assert not any("forward" in vars(conv) for conv in convs)


@pytest.mark.parametrize("name", GNNS)
def test_on_flat_graphs(name: str) -> None:
    torch.manual_seed(0)
    ours = GNNS[name]()
    theirs = copy.deepcopy(ours)

    def run(
        x: Tensor, edge_index: Tensor, weight: Tensor, gnn: Module = ours
    ) -> Tensor:
        return call_gnn(gnn, x, flat_graph(x, edge_index, weight))

    in_one = compiled(run)
    for n in (6, 9):
        edges = (torch.rand(n, n) < 0.5).nonzero().t().contiguous()
        given = torch.randn(n, C), edges, torch.rand(edges.size(1))
        torch.testing.assert_close(in_one(*given), run(*given, theirs))


def flat_form(n: int) -> FlatGraph:
    edges = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
    return flat_graph(torch.zeros(n, C), edges, torch.rand(n))


def test_compiled_parts_are_not_compiled_for_each_call() -> None:
    torch.compiler.reset()
    calls = []

    def backend(module: torch.fx.GraphModule, _: object) -> Callable[..., object]:
        calls.append(module)
        return module.forward

    x, plain = torch.randn(6, C), pyg.GCNConv(C, C)
    in_place = copy.deepcopy(plain)
    in_place.compile(backend=backend)
    part = torch.compile(copy.deepcopy(plain), backend=backend)
    steps = [(part, "x, edge_index -> x"), torch.compile(Linear(C, C), backend=backend)]
    model = pyg.Sequential("x, edge_index", steps)
    for _ in range(4):
        graph = flat_form(6)
        expected = call_gnn(plain, x, graph)
        torch.testing.assert_close(call_gnn(in_place, x, graph), expected)
        torch.testing.assert_close(call_gnn(part, x, graph), expected)
        expected = model[1](expected)
        torch.testing.assert_close(call_gnn(model, x, graph), expected)
    assert len(calls) == 1  # of the linear map
    assert in_place._compiled_call_impl is not None
