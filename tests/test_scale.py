"""Nothing of size M x M on the sparse path, told by the peak of a process's memory."""

import subprocess
import sys

import pytest

BEFORE = """
import torch
from pyg_diffpool import DiffPool, diff_pool
from torch_geometric.nn import GraphSAGE


def peak():
    # Of this program alone: ru_maxrss begins with the peak of the one that started it.
    with open("/proc/self/status") as status:
        return next(int(row.split()[1]) for row in status if row.startswith("VmHWM"))


torch.manual_seed(0)
"""
POOL = """
sizes = torch.tensor([20_000] + [10] * 100)
batch = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
edge_index = torch.randint(0, 20_000, (2, 100_000))
x = torch.randn(len(batch), 32)
pool = DiffPool(GraphSAGE(32, 32, 2), GraphSAGE(32, 32, 2, out_channels=16), ratio=0.25)
before = peak()
out = pool(x, edge_index, batch=batch)
(out.x.sum() + out.link_loss + out.entropy_loss).backward()
"""
EDGE_FEATURES = """
n, num_edges, k, d = 20_000, 100_000, 64, 64
edge_index = torch.randint(0, n, (2, num_edges))
edge_attr = torch.randn(num_edges, d, requires_grad=True)
x, s = torch.randn(n, 8), torch.randn(n, k, requires_grad=True)
before = peak()
out = diff_pool(x, edge_index, s, edge_attr=edge_attr, edge_reduce="mean")
out.edge_attr.square().sum().backward()
"""
FEATURES, ASSIGNMENT = 100_000 * 64 * 4 / 2**20, 20_000 * 64 * 4 / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize(
    ("program", "mebibytes"),
    [
        (POOL, 1024),  # the dense adjacencies alone would be 160 GB
        # One product [N, K] for each feature would be 64 assignments, 312 MiB; the
        # outer products by edge 1.5 GiB.
        (EDGE_FEATURES, 3 * FEATURES + 25 * ASSIGNMENT),
    ],
    ids=["a graph of 20,000 nodes", "edge features"],
)
def test_peak_of_memory(program, mebibytes):
    after = "print((peak() - before) / 1024)"
    command = [sys.executable, "-c", BEFORE + program + after]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) < mebibytes
