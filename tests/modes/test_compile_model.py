"""Whole models under `torch.compile`: in one graph, for mini-batches of any size."""

import copy

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn import Module
from torch_geometric.nn import GCN, GIN, GraphSAGE

from graphs import Sample, sample
from pyg_diffpool import DiffPoolNet

pytestmark = pytest.mark.skipif(
    torch.__version__ < (2, 9), reason="torch < 2.9 fails to compile it in one graph"
)
SIZES = [[9, 20, 14], [5, 8, 11, 7], [12, 13], [6, 6, 9, 10, 21]]


def batches() -> list[Sample]:
    drawn = enumerate(SIZES)
    return [
        sample(sizes, channels=5, directed=i == 2, seed=i).to(torch.float)
        for i, sizes in drawn
    ]


def step(net: Module, call: Module, given: Sample) -> list[torch.Tensor]:
    """Results, gradients, and the running statistics that the step leaves."""
    out = call(given.x, given.edge_index.contiguous(), batch=given.batch)
    total = out.out.square().sum() + out.auxiliary_loss
    grads = torch.autograd.grad(total, list(net.parameters()))
    return [out.out, out.link_loss, out.entropy_loss, *grads, *net.buffers()]


def check(backend: str, gnn: type[Module], num_clusters: list[int]) -> None:
    torch.compiler.reset()
    torch.manual_seed(0)
    net = DiffPoolNet(5, 8, 3, num_clusters, num_layers=2, gnn=gnn)
    reference = copy.deepcopy(net)
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend=counter)
    frames = []
    for given in batches():
        found = step(net, compiled, given)
        expected = step(reference, reference, given)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
        frames.append(counter.frame_count)
    assert frames[1] == frames[-1] <= 2  # nothing anew after the second size


@pytest.mark.parametrize("num_clusters", [[6], [6, 3]])
@pytest.mark.parametrize("gnn", [GraphSAGE, GCN, GIN])
def test_one_graph_for_all_sizes(gnn: type[Module], num_clusters: list[int]) -> None:
    check("eager", gnn, num_clusters)


def test_gradients_by_the_compilers_own_derivatives() -> None:
    check("aot_eager", GraphSAGE, [6])


@pytest.mark.slow
@pytest.mark.parametrize("num_clusters", [[6], [6, 3]])
@pytest.mark.parametrize("gnn", [GraphSAGE, GCN, GIN])
def test_compiled_by_inductor(gnn: type[Module], num_clusters: list[int]) -> None:
    check("inductor", gnn, num_clusters)
