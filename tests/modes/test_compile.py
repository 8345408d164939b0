"""`torch.compile`: one graph for mini-batches of any size, with eager's results."""

import copy
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.testing import assert_close
from torch_geometric.nn import GCN, GIN, GraphSAGE

from graphs import ZOO, Arguments, flat, leaves, padded, sample
from pyg_diffpool import DiffPoolNet, dense_diff_pool, diff_pool
from pyg_diffpool._graph import make_graph

pytestmark = pytest.mark.skipif(
    torch.__version__ < (2, 6), reason="torch.compile needs torch >= 2.6 here"
)
PLAIN = [ZOO["ordinary"], ZOO["undirected"], sample([40, 3, 9], k=5, channels=6)]
WEIGHTED = [ZOO["weighted"], ZOO["repeated, weighted"]]
UNSORTED = [*PLAIN, ZOO["unsorted edges"]]


def featured(given):
    attr = torch.randn(given.edge_index.size(1), 3, dtype=torch.double)
    return {**flat(given), "edge_attr": attr}


def fields(out):
    results = out.x, out.adj, out.assignment, out.link_loss, out.entropy_loss
    return [*results, *([] if out.edge_attr is None else [out.edge_attr])]


CASES: dict[str, tuple[Any, list[Arguments]]] = {
    "sparse": (lambda g: fields(diff_pool(**g, backend="sparse")), [*map(flat, PLAIN)]),
    "sparse, weighted": (
        lambda g: fields(diff_pool(**g, backend="sparse")),
        [*map(flat, WEIGHTED)],
    ),
    "auto": (lambda g: fields(diff_pool(**g)), [*map(flat, PLAIN)]),
    "auto, weighted": (lambda g: fields(diff_pool(**g)), [*map(flat, WEIGHTED)]),
    "edge features": (
        lambda g: fields(diff_pool(**g, edge_reduce="mean")),
        [*map(featured, UNSORTED)],
    ),
    "normalized": (
        lambda g: fields(diff_pool(**g, pooled_adj="normalized")),
        [*map(flat, WEIGHTED)],
    ),
    "dense_diff_pool": (lambda g: dense_diff_pool(**g), [*map(padded, PLAIN)]),
}


def results(call, given):
    given = leaves(given)
    out = call(given)
    total = sum((t * (1 + torch.arange(t.numel()).view_as(t))).sum() for t in out)
    inputs = [t for t in given.values() if getattr(t, "requires_grad", False)]
    return [*out, *torch.autograd.grad(total, inputs)]


@pytest.mark.parametrize("name", CASES)
def test_compiled_equals_eager(name):
    torch.compiler.reset()
    call, batches = CASES[name]
    options = {"dynamic": True, "fullgraph": True, "backend": "aot_eager"}
    compiled = torch.compile(call, **options)
    for given in batches:
        assert_close(results(compiled, given), results(call, given))


def test_the_environment_asks_no_compiled_graph_to_look(monkeypatch):
    monkeypatch.setenv("PYG_DIFFPOOL_CHECK", "1")
    test_compiled_equals_eager("auto, weighted")


def test_the_operations_keep_the_rules_of_torch():
    given, ops = ZOO["weighted"].to(torch.float32), torch.ops.pyg_diffpool
    ptr, n = torch.tensor([0, 5, 8, 15]), given.x.size(0)
    graph = make_graph(given.edge_index, given.edge_weight, ptr, n, torch.float32)
    x, s = given.x.requires_grad_(), given.s.requires_grad_()
    value = graph.values(torch.float32).clone().requires_grad_()
    pattern = graph.pattern
    rest = graph.is_symmetric, ptr, None, None, *pattern
    divisors = torch.tensor([2.0, 3.0], dtype=torch.double)
    check = torch.library.opcheck
    check(ops.sparse_level.default, (x, value, s, divisors, torch.float32, *rest))
    check(ops.spmm.default, (value, x, True, *pattern))
    check(ops.edge_products.default, (x, x.detach(), *pattern))
    edges = given.edge_index.flip(1)
    check(ops.sort_edges.default, (edges, n, torch.float32, None, 1))
    check(ops.transpose.default, (graph.row, *pattern[1::-1]))


SIZES = [[9, 20, 14], [5, 8, 11, 7], [12, 13], [6, 6, 9, 10, 21]]


def step(net, call, number):
    """Results, gradients, and the running statistics that the step leaves."""
    options = {"channels": 5, "directed": number == 2, "seed": number}
    given = sample(SIZES[number], **options).to(torch.float)
    out = call(given.x, given.edge_index.contiguous(), batch=given.batch)
    total = out.out.square().sum() + out.auxiliary_loss
    grads = torch.autograd.grad(total, list(net.parameters()))
    return [out.out, out.link_loss, out.entropy_loss, *grads, *net.buffers()]


NETWORKS = [
    *((gnn, [6, 3], "eager") for gnn in (GraphSAGE, GCN, GIN)),
    (GraphSAGE, [6], "aot_eager"),  # with the compiler's own derivatives
]
SLOW = [(gnn, k, "inductor") for gnn in (GraphSAGE, GCN, GIN) for k in ([6], [6, 3])]


@pytest.mark.skipif(
    torch.__version__ < (2, 9), reason="torch < 2.9 fails to compile it in one graph"
)
@pytest.mark.parametrize(
    ("gnn", "num_clusters", "backend"),
    [*NETWORKS, *(pytest.param(*case, marks=pytest.mark.slow) for case in SLOW)],
)
def test_one_graph_for_networks_on_batches_of_any_size(gnn, num_clusters, backend):
    torch.compiler.reset()
    torch.manual_seed(0)
    net = DiffPoolNet(5, 8, 3, num_clusters, num_layers=2, gnn=gnn)
    reference = copy.deepcopy(net)
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend=counter)
    frames = []
    for number in range(len(SIZES)):
        found = step(net, compiled, number)
        expected = step(reference, reference, number)
        assert_close(found, expected, rtol=1e-3, atol=1e-4)
        frames.append(counter.frame_count)
    assert frames[1] == frames[-1] <= 2  # nothing anew after the second size
