"""Without torch-sparse, or with one that does not load, everything else goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

POOL = """
import torch
from torch_geometric.typing import WITH_TORCH_SPARSE
from pyg_diffpool import diff_pool

assert not WITH_TORCH_SPARSE
x, edge_index = torch.eye(2), torch.tensor([[0, 1], [1, 0]])
s = torch.tensor([[0.0, 9.0], [9.0, 0.0]])
for adj in (edge_index, torch.sparse_coo_tensor(edge_index, torch.ones(2), (2, 2))):
    print(diff_pool(x, adj, s).adj.round().tolist())
"""


@pytest.mark.parametrize("error", ["OSError('undefined symbol: x')", "ImportError"])
def test_a_broken_installation_is_warned_of_and_done_without(
    error: str, tmp_path: Path
) -> None:
    for name in ("torch_sparse", "torch_scatter"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise {error}")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", POOL],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == 2 * ["[[[0.0, 1.0], [1.0, 0.0]]]"]
    assert ("undefined symbol" in run.stderr) == error.startswith("OSError")
