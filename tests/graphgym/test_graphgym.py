"""GraphGym trains DiffPool from a config file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("yacs")
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.loss import compute_loss

import pyg_diffpool.graphgym  # noqa: F401

EXAMPLE = Path(__file__).parents[2] / "examples" / "graphgym"


@pytest.fixture
def configured():
    """GraphGym's one configuration, as it was before."""
    before = cfg.clone()
    cfg.model.type = "diffpool"
    cfg.gnn.head = cfg.dataset.task = "graph"
    cfg.diffpool.num_clusters = [3, 2]
    yield cfg
    cfg.clear()
    cfg.update(before)


def batch():
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for n in (4, 5, 3):
        x = torch.randn(n, 6, generator=generator)
        edge_index = (torch.rand(n, n, generator=generator) < 0.5).nonzero().t()
        graphs.append(Data(x, edge_index, y=torch.tensor([n % 3])))
    return Batch.from_data_list(graphs)


def write_rings(folder):
    """60 rings of 5 nodes as TU's files; labels of nodes are those of their graph."""
    folder.mkdir(parents=True)
    node = torch.arange(300)
    graph = node // 5
    edges = torch.stack([node, graph * 5 + (node + 1) % 5]).t() + 1
    columns = {
        "A": torch.cat([edges, edges.flip(1)]),
        "graph_indicator": graph[:, None] + 1,
        "graph_labels": torch.arange(60)[:, None] % 2,
        "node_labels": graph[:, None] % 2,
    }
    for name, rows in columns.items():
        lines = (", ".join(map(str, row)) + "\n" for row in rows.tolist())
        (folder / f"TINY_{name}.txt").write_text("".join(lines))


def test_the_example_trains(tmp_path):
    write_rings(tmp_path / "TINY" / "raw")
    command = [
        *(sys.executable, EXAMPLE / "main.py", "--cfg", EXAMPLE / "diffpool.yaml"),
        *("dataset.name", "TINY", "out_dir", tmp_path, "dataset.dir", tmp_path),
        *("optim.max_epoch", "6", "train.batch_size", "8", "gnn.dim_inner", "8"),
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=env, timeout=300, check=True)
    lines = (tmp_path / "train" / "stats.json").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses[5] < 0.9 * losses[0]
    assert json.loads((tmp_path / "test" / "stats.json").read_text())["loss"] > 0


def test_auxiliary_losses_are_added_once(configured):
    configured.diffpool.link_weight, configured.diffpool.entropy_weight = 2.0, 3.0
    network = register.network_dict["diffpool"](6, 4)
    pred, true = network(batch())
    network(batch())  # without a loss: forgotten at the next call
    pred, true = network(batch())
    given = batch()
    levels = network.net(given.x, given.edge_index, batch=given.batch)
    loss, score = compute_loss(pred, true)
    plain, expected_score = compute_loss(pred, true)
    right = 2 * levels.link_loss + 3 * levels.entropy_loss
    right = right + 0.1 * sum(level.balance_loss for level in levels.levels)
    torch.testing.assert_close(loss - plain, right)
    torch.testing.assert_close(score, expected_score)
    torch.testing.assert_close(plain, torch.nn.functional.cross_entropy(pred, true))


@pytest.mark.usefixtures("configured")
def test_the_loss_of_somebody_else_is_kept(monkeypatch):
    def own(pred, true):
        return 0 * (pred.sum() + true.sum()) + 7, pred

    monkeypatch.setitem(register.loss_dict, "own", own)
    pred, true = register.network_dict["diffpool"](6, 4)(batch())
    loss, _ = compute_loss(pred, true)
    assert loss.item() > 7
