"""Rows of padding, where they cannot be dropped, change nothing."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch.nn import BatchNorm1d, Identity, Linear, Module, MultiheadAttention, ReLU
from torch_geometric import nn as pyg

from pyg_diffpool import _modes
from pyg_diffpool._minibatch import padded_graph
from pyg_diffpool.conv import call, call_gnn
from pyg_diffpool.conv.norm import batch_norm
from pyg_diffpool.models import NodeBatchNorm

C = 3
GIN_MLP = [C, 8, 8, 2]


def steps(*parts):
    return pyg.Sequential(
        "x, edge_index", [(pyg.GCNConv(C, 4), "x, edge_index -> x"), *parts]
    )


def sage(**options):
    return pyg.GraphSAGE(C, 4, 3, **options)


ROW_WISE: dict[str, Callable[[], Module]] = {
    "conv": lambda: pyg.GCNConv(C, 4),
    "conv, no loops": lambda: pyg.GCNConv(C, 4, add_self_loops=False),
    "sage": lambda: sage(),
    "sage, normalised": lambda: sage(normalize=True),
    "batch norm": lambda: sage(norm="batch_norm"),
    "first activated": lambda: sage(norm="batch_norm", act_first=True, jk="cat"),
    "node norm": lambda: sage(norm=NodeBatchNorm(4), jk="max"),
    "torch's norm": lambda: sage(norm=BatchNorm1d(4)),
    "no affine": lambda: sage(norm=BatchNorm1d(4, affine=False)),
    "still": lambda: sage(norm=BatchNorm1d(4, momentum=0.0)),
    "layer norm": lambda: pyg.GCN(
        C, 4, 2, norm="layer_norm", norm_kwargs={"mode": "node"}
    ),
    "torch's layer norm": lambda: pyg.GCN(C, 4, 2, norm=torch.nn.LayerNorm(4)),
    "GIN": lambda: pyg.GIN(C, 4, 2, norm="batch_norm"),
    "MLP within": lambda: pyg.GINConv(pyg.MLP(GIN_MLP)),
    "Sequential": lambda: steps(pyg.BatchNorm(4), ReLU(), Linear(4, 2)),
}
TOGETHER: dict[str, Callable[[], Module]] = {
    "average": lambda: sage(norm=BatchNorm1d(4, momentum=None)),
    "no tracking": lambda: sage(norm=BatchNorm1d(4, track_running_stats=False)),
    "graph norm": lambda: sage(norm="graph_norm"),
    "layer norm": lambda: sage(norm="layer_norm"),
    "norm by a function": lambda: steps(lambda x: x - x.mean(0)),
    "activation over rows": lambda: sage(act=torch.nn.Softmax(0)),
    "activation by a function": lambda: sage(act=lambda x: x - x.mean(0)),
    "jk over layers": lambda: sage(jk="lstm"),
    "max": lambda: sage(aggr="max"),
    "sync": lambda: torch.nn.SyncBatchNorm.convert_sync_batchnorm(
        sage(norm="batch_norm")
    ),
}


class Own(pyg.GraphSAGE):
    def forward(self, x, edge_index):
        return super().forward(x, edge_index) - x.mean()


def pooled(sizes, m=5):
    generator = torch.Generator().manual_seed(len(sizes))
    b = len(sizes)
    x = torch.randn(b, m, C, generator=generator, dtype=torch.double)
    adj = torch.rand(b, m, m, generator=generator, dtype=torch.double)
    mask = torch.arange(m) < torch.tensor(sizes).unsqueeze(1)
    x[~mask] = torch.nan  # which must not come through
    return x.requires_grad_(), padded_graph(x, adj.requires_grad_(), mask)


def results(module, sizes):
    x, graph = pooled(sizes)
    out = call_gnn(module, x, graph)
    assert not out[~graph.mask].any()
    loss = (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum()
    inputs = [x, *(p for p in module.parameters() if p.requires_grad)]
    return [out, *torch.autograd.grad(loss, inputs, allow_unused=True)]


@pytest.fixture
def unreadable(monkeypatch):
    return lambda: monkeypatch.setattr(_modes, "may_read_values", lambda _: False)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ROW_WISE)
def test_as_without_the_rows(name, training, unreadable):
    torch.manual_seed(0)
    gathered = ROW_WISE[name]().double()
    results(gathered, [4, 2])  # so that running statistics are not those of the start
    whole = copy.deepcopy(gathered.train(training))
    assert call.is_row_wise(whole)
    expected = [results(gathered, sizes) for sizes in ([3, 5, 1], [2, 0, 4, 1])]
    unreadable()
    found = [results(whole, sizes) for sizes in ([3, 5, 1], [2, 0, 4, 1])]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(whole.state_dict(), gathered.state_dict())
    parts = [m for m in whole.modules() if not isinstance(m, pyg.Sequential)]
    assert not any("forward" in vars(part) for part in parts)


def test_a_single_row_by_the_running_statistics(unreadable):
    gathered = sage(norm=NodeBatchNorm(4)).double()
    results(gathered, [4, 2])
    whole = copy.deepcopy(gathered)
    expected = results(gathered, [1, 0])
    unreadable()
    torch.testing.assert_close(results(whole, [1, 0]), expected)
    torch.testing.assert_close(whole.state_dict(), gathered.state_dict())
    assert not results(whole, [0, 0])[0].any()


@pytest.mark.parametrize("name", TOGETHER)
def test_what_looks_at_all_rows_is_given_real_ones(name, unreadable):
    module = TOGETHER[name]()
    assert not call.is_row_wise(module)
    if name in ("max", "sync"):
        return
    module = module.double()
    expected = results(module, [3, 5, 1])
    unreadable()
    torch.testing.assert_close(results(module, [3, 5, 1]), expected)


def test_what_else_is_not_row_wise():
    hooked, over = sage(), sage()
    hooked.convs[0].register_forward_hook(lambda *_: None)
    over.convs[0].forward = lambda x, _: x - x.mean()
    others = [Own(C, 4, 2), hooked, over, MultiheadAttention(4, 1), pyg.GATConv(C, 4)]
    assert not any(call.is_row_wise(module) for module in others)
    assert call.is_row_wise(torch.nn.Sequential(Linear(C, 4), Identity()))


@pytest.mark.parametrize("sizes", [[3, 5, 1], [1, 0]])
def test_norm_differentiated_twice(sizes):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5 * len(sizes), C, generator=generator, dtype=torch.double)
    graph = pooled(sizes)[1]
    norm = BatchNorm1d(C, momentum=0.0).double()
    inputs = [x.requires_grad_(), norm.weight, norm.bias]

    def normalized(x, weight, bias):
        parameters = {"weight": weight, "bias": bias}
        with torch.nn.utils.stateless._reparametrize_module(norm, parameters):
            return batch_norm(norm, graph, x)

    assert torch.autograd.gradcheck(normalized, inputs)
    assert torch.autograd.gradgradcheck(normalized, inputs)


def test_norm_in_half_precision(unreadable):
    torch.manual_seed(0)
    net, sizes = sage(norm="batch_norm"), [3, 5, 1]
    x, graph = pooled(sizes)
    x, adj = x.float(), graph.given.float()
    graph = padded_graph(x, adj, graph.mask)
    results = []
    for is_hidden in (False, True):
        unreadable() if is_hidden else None
        with torch.autocast("cpu", torch.bfloat16):
            results.append(call_gnn(copy.deepcopy(net), x, graph))
    torch.testing.assert_close(*results, rtol=2e-2, atol=5e-2)
