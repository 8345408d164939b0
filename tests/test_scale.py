"""Nothing of size M x M on the sparse path, told by the peak of a process's memory."""

import subprocess
import sys

import pytest

POOL = """
import torch
from pyg_diffpool import DiffPool, diff_pool
from torch_geometric.nn import GraphSAGE


def peak():
    # Of this program alone: ru_maxrss begins with the peak of the one that started it.
    with open("/proc/self/status") as status:
        return next(int(row.split()[1]) for row in status if row.startswith("VmHWM"))


torch.manual_seed(0)
sizes = torch.tensor([20_000] + [10] * 100)
n = int(sizes.sum())
batch = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
source = torch.randint(0, 20_000, (100_000,))
target = torch.randint(0, 20_000, (100_000,))
edge_index = torch.stack([source, target])
x = torch.randn(n, 32)
pool = DiffPool(GraphSAGE(32, 32, 2), GraphSAGE(32, 32, 2, out_channels=16), ratio=0.25)
before = peak()
out = pool(x, edge_index, batch=batch)
(out.x.sum() + out.link_loss + out.entropy_loss).backward()
print((peak() - before) / 1024)
"""


EDGE_FEATURES = """
import torch
from pyg_diffpool import diff_pool


def peak():
    with open("/proc/self/status") as status:
        return next(int(row.split()[1]) for row in status if row.startswith("VmHWM"))


torch.manual_seed(0)
n, num_edges, k, d = 40_000, 200_000, 64, 64
edge_index = torch.randint(0, n, (2, num_edges))
edge_attr = torch.randn(num_edges, d, requires_grad=True)
x, s = torch.randn(n, 8), torch.randn(n, k, requires_grad=True)
before = peak()
out = diff_pool(x, edge_index, s, edge_attr=edge_attr, edge_reduce="mean")
out.edge_attr.square().sum().backward()
print((peak() - before) / 1024)
"""


def mebibytes(program: str) -> float:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_edge_features_take_the_memory_of_edges_and_of_one_assignment() -> None:
    features, assignment = 200_000 * 64 * 4 / 2**20, 40_000 * 64 * 4 / 2**20
    # One product [N, K] for each feature would be 64 assignments, 625 MiB; the outer
    # products by edge 3 GiB.
    assert 0 < mebibytes(EDGE_FEATURES) < 3 * features + 25 * assignment


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_a_graph_of_20000_nodes_pools_within_1_gb() -> None:
    assert 0 < mebibytes(POOL) < 1024  # the dense adjacencies alone would be 160 GB
