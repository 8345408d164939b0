"""Without torch-sparse, or with one that does not load, everything else goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch_geometric.typing import WITH_TORCH_SPARSE

from graphs import ZOO
from pyg_diffpool import _minibatch, diff_pool

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


def test_without_it_its_tensors_are_no_known_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unknown:
        """What PyG puts in its place."""

    class Foreign:
        """An adjacency of another library."""

    monkeypatch.setattr(_minibatch, "SparseTensor", Unknown)
    sample = ZOO["ordinary"]
    with pytest.raises(TypeError, match=r"Expected 'adj' to be .* \(got Foreign\)"):
        diff_pool(sample.x, Foreign(), sample.s)


@pytest.mark.accel
@pytest.mark.skipif(not WITH_TORCH_SPARSE, reason="torch-sparse is not installed")
@pytest.mark.parametrize("name", ZOO)
def test_their_sparse_product_is_ours(name: str) -> None:
    from torch_sparse import SparseTensor

    sample = ZOO[name]
    n = sample.x.size(0)
    weight = sample.edge_weight
    if weight is None:
        weight = sample.x.new_ones(sample.edge_index.size(1))
    adj = SparseTensor.from_edge_index(sample.edge_index, weight, (n, n))
    batch = sample.batch if sample.batch_size > 1 else None
    out = diff_pool(
        sample.x, adj.t(), sample.s, batch=batch, batch_size=sample.batch_size
    )
    s = out.assignment
    product = adj @ s
    for b, graph in enumerate(out.adj):
        mine = sample.batch == b
        torch.testing.assert_close(graph, s[mine].t() @ product[mine])
