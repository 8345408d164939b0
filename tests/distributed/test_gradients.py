"""Two processes under DDP against one process that has all graphs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from distributed import rank
from pyg_diffpool import DiffPoolNet

RANKS = range(len(rank.DEALS))


@pytest.fixture(scope="module")
def dealt(tmp_path_factory):
    """By process and case, what `rank.run` gives."""
    folder = tmp_path_factory.mktemp("ranks")
    script = Path(rank.__file__)
    processes = [
        subprocess.Popen(
            [sys.executable, script, str(r), folder],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for r in RANKS
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{r}.pt", weights_only=True) for r in RANKS]


@pytest.mark.parametrize(
    "case", range(len(rank.CASES)), ids=lambda c: str(rank.CASES[c])
)
def test_losses_and_gradients_of_the_joined_mini_batch(dealt, case):
    *_, sync = rank.CASES[case]
    expected = rank.run(rank.CASES[case], [*range(len(rank.SIZES))], ranks=1)
    if sync:
        for r in RANKS:
            assert_close(dealt[r][case], expected)
    else:  # each has its own losses, and their mean is another number
        losses = torch.stack([dealt[r][case][0] for r in RANKS])
        assert not torch.isclose(losses.mean(0), expected[0]).any()
        different = [
            not torch.allclose(a, b)
            for a, b in zip(dealt[0][case][1:], expected[1:], strict=True)
        ]
        assert any(different)


def test_the_task_alone_is_dealt_rightly(dealt):
    """What is compared above differs by the auxiliary losses and nothing else."""
    assert_close(dealt[0][0][1:], dealt[1][0][1:], rtol=0, atol=0)


def test_batch_norms_become_synchronised_ones():
    """Their structure, and one process: several need GPUs, as `SyncBatchNorm` says."""
    net = DiffPoolNet(3, 8, 2, num_clusters=[4, 2])
    x, batch = torch.randn(5, 3), torch.tensor([0, 0, 0, 1, 1])
    edge_index = torch.tensor([[0, 1, 3, 4], [1, 0, 4, 3]])
    expected = net(x, edge_index, batch=batch).out
    keys = net.state_dict().keys()
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm1d)]
    net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    synchronised = [m for m in net.modules() if isinstance(m, nn.SyncBatchNorm)]
    assert len(norms) == len(synchronised) > 0
    assert not any(isinstance(m, nn.BatchNorm1d) for m in net.modules())
    assert net.state_dict().keys() == keys
    assert_close(net(x, edge_index, batch=batch).out, expected)
