"""Edge features of a data set, from the mini-batch to the network."""

import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_diffpool.lightning import GraphClassifier
from training.commands import SMALL, run

SET = """
import torch
from torch_geometric.data import Data, InMemoryDataset


class Colored(InMemoryDataset):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        graphs = [graph(color) for color in (0, 1) * 30]
        self.data, self.slices = self.collate(graphs)


def graph(color):
    edge_index = torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])
    edge_attr = torch.eye(2)[color].expand(6, 2)
    x, y = torch.randn(3, 4), torch.tensor([color])
    return Data(x, edge_index, edge_attr, y)
"""


@pytest.fixture
def batch():
    edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    graphs = [Data(torch.randn(3, 5), edge_index, torch.randn(4, 3)) for _ in range(4)]
    return Batch.from_data_list(graphs)


def other_attr(batch):
    changed = batch.clone()
    changed.edge_attr = batch.edge_attr.flip(0)
    return changed


def test_a_network_with_edge_dim_reads_them(batch):
    model = GraphClassifier(5, 2, 8, [4, 2], gnn="GAT", edge_dim=3).eval()
    before, after = model(batch).out, model(other_attr(batch)).out
    assert not torch.allclose(before, after)
    assert model(batch).levels[0].edge_attr.shape == (4, 4, 4, 3)


def test_a_network_without_leaves_them(batch):
    model = GraphClassifier(5, 2, 8, [4, 2]).eval()
    before, after = model(batch).out, model(other_attr(batch)).out
    torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_codes_are_no_features(batch):
    batch.edge_attr = torch.randint(9, (16, 2))
    model = GraphClassifier(5, 2, 8, [4, 2], gnn="GAT", edge_dim=1).eval()
    assert model(batch).levels[0].edge_attr is None


def test_the_command_line_reads_them(tmp_path, monkeypatch):
    (tmp_path / "colored_triangles.py").write_text(SET)
    monkeypatch.chdir(tmp_path)
    data = ("--data.dataset=colored_triangles:Colored", f"--runs={tmp_path}")
    settings = ("--model.gnn=GAT", "--trainer.max_epochs=1")
    run("fit", *data, *SMALL, *settings, "--model.edge_dim=2")
    with pytest.raises(ValueError, match="'edge_dim' = 2"):
        run("fit", *data, *SMALL, *settings, "--model.edge_dim=5")
