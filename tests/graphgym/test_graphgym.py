"""GraphGym trains DiffPool from a config file, as a network and as a layer."""

import importlib
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
from torch_geometric.graphgym.models.gnn import GNN
from torch_geometric.graphgym.models.layer import GeneralLayer, new_layer_config

from pyg_diffpool import graphgym
from training.conftest import tiny as tiny  # the fixture

EXAMPLE = Path(__file__).parents[2] / "examples" / "graphgym"


@pytest.fixture
def configured():
    """GraphGym's one configuration, as it was before."""
    before = cfg.clone()
    cfg.model.type = cfg.gnn.layer_type = "diffpool"
    cfg.gnn.head = cfg.dataset.task = "graph"
    cfg.diffpool.num_clusters = [3, 2]
    yield cfg
    cfg.clear()
    cfg.update(before)


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    graphs = []
    for n in (4, 5, 3):
        x = torch.randn(n, 6, generator=generator)
        edge_index = (torch.rand(n, n, generator=generator) < 0.5).nonzero().t()
        graphs.append(Data(x, edge_index, y=torch.tensor([n % 3])))
    return Batch.from_data_list(graphs)


@pytest.mark.parametrize(
    "options",
    [
        ("model.type", "diffpool"),
        pytest.param(
            ("model.type", "gnn", "gnn.layer_type", "diffpool", "gnn.l2norm", "False"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["network", "layer"],
)
def test_the_example_trains(tiny, tmp_path, options) -> None:
    done = subprocess.run(
        [
            *(sys.executable, EXAMPLE / "main.py", "--cfg", EXAMPLE / "diffpool.yaml"),
            *("dataset.name", tiny, "out_dir", tmp_path, "dataset.dir", tmp_path),
            *("optim.max_epoch", "6", "train.batch_size", "8", "gnn.dim_inner", "8"),
            *options,
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "train" / "stats.json").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == 6
    assert losses[-1] < 0.9 * losses[0]
    assert json.loads((tmp_path / "test" / "stats.json").read_text())["loss"] > 0


def test_auxiliary_losses_are_added_once(configured) -> None:
    configured.diffpool.link_weight, configured.diffpool.entropy_weight = 2.0, 3.0
    network = register.network_dict["diffpool"](6, 4)
    pred, true = network(batch())
    network(batch())  # without a loss: forgotten at the next call
    pred, true = network(batch())
    levels = network.net(
        *[batch()[k] for k in ("x", "edge_index")], batch=batch().batch
    )
    loss, score = compute_loss(pred, true)
    plain, expected_score = compute_loss(pred, true)
    right = 2 * levels.link_loss + 3 * levels.entropy_loss
    torch.testing.assert_close(loss - plain, right)
    torch.testing.assert_close(score, expected_score)
    torch.testing.assert_close(plain, torch.nn.functional.cross_entropy(pred, true))


def test_layers_stack(configured) -> None:
    configured.gnn.layers_mp, configured.share.dim_out = 2, 4
    network = GNN(6, 4)
    given = batch()
    pred, true = network(given)
    assert pred.shape == (3, 4)
    assert given.batch.tolist() == sorted([0, 1, 2] * 3)
    assert given.diffpool_level == 2
    assert len(graphgym._pending) == 2
    loss, _ = compute_loss(pred, true)
    loss.backward()
    assert all(p.grad is not None for p in network.parameters())


def test_a_layer_takes_its_number_of_clusters(configured) -> None:
    config = new_layer_config(6, 5, 1, has_act=False, has_bias=False, cfg=configured)
    out = GeneralLayer("diffpool", config, num_clusters=2)(batch())
    assert out.x.shape == (6, 5)
    assert out.num_nodes == 6
    assert out.ptr.tolist() == [0, 2, 4, 6]


@pytest.mark.usefixtures("configured")
def test_a_registered_loss_is_kept(monkeypatch) -> None:
    def own(pred: torch.Tensor, true: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return 0 * (pred.sum() + true.sum()) + 7, pred

    del register.loss_dict["diffpool"]
    monkeypatch.setitem(register.loss_dict, "own", own)
    importlib.reload(graphgym)  # registered later, asked first
    pred, true = register.network_dict["diffpool"](6, 4)(batch())
    loss, _ = compute_loss(pred, true)
    assert loss.item() > 7


def test_registering_twice_does_no_harm() -> None:
    importlib.reload(graphgym)
    importlib.reload(graphgym)
    for known in ("config", "layer", "network", "loader", "loss"):
        assert "diffpool" in getattr(register, f"{known}_dict")
    assert register.network_dict["diffpool"] is graphgym.DiffPoolNetwork


def test_a_name_of_somebody_else_is_not_taken(monkeypatch) -> None:
    monkeypatch.setitem(register.layer_dict, "diffpool", GeneralLayer)
    with pytest.raises(KeyError, match="diffpool"):
        importlib.reload(graphgym)
    monkeypatch.undo()
    importlib.reload(graphgym)


@pytest.mark.usefixtures("configured")
def test_edge_weights_are_loaded(tmp_path, monkeypatch) -> None:
    (tmp_path / "weighted.py").write_text(WEIGHTED)
    monkeypatch.syspath_prepend(str(tmp_path))
    dataset = graphgym.load("pyg_diffpool", "weighted:Weighted", str(tmp_path))
    assert dataset.edge_weight[6:8].tolist() == [3.0, 0.5]


WEIGHTED = """
import torch
from torch_geometric.data import Data, InMemoryDataset


class Weighted(InMemoryDataset):
    def __init__(self, root=None):
        super().__init__()
        edges = torch.tensor([[0, 1], [1, 0]])
        graphs = [
            Data(
                x=torch.ones(2, 1),
                edge_index=edges,
                edge_weight=torch.tensor([float(i), 0.5]),
                y=torch.tensor([i % 2]),
            )
            for i in range(20)
        ]
        self.data, self.slices = self.collate(graphs)
"""
