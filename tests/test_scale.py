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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_a_graph_of_20000_nodes_pools_within_1_gb() -> None:
    done = subprocess.run(
        [sys.executable, "-c", POOL], capture_output=True, text=True, check=True
    )
    mebibytes = float(done.stdout)
    assert 0 < mebibytes < 1024  # the dense adjacencies alone would be 160 GB
