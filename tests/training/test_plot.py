from types import SimpleNamespace

import pytest
import torch
from torch_geometric.data import Data

pytest.importorskip("matplotlib")

import networkx as nx
from lightning.pytorch import LightningDataModule, LightningModule

from pyg_diffpool import DiffPoolNet
from pyg_diffpool.train import plot

LOG = """\
epoch,lr,train/task_loss,val/accuracy,val/baseline_accuracy,val/perplexity_1,val/score
,0.1,,,,,
0,,,0.5,0.25,3,0.5
0,,1.1,,,,
1,,,0.8,0.25,2,0.8
1,,0.9,,,,
2,,,0.6,0.25,2,nan
"""


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.save_hyperparameters({"task": "classification", "class_names": [*"abc"]})
        self.net = DiffPoolNet(2, 4, 3, [20, 2])

    def forward(self, batch):
        return self.net(batch.x, batch.edge_index, batch=batch.batch)


class Cycles(LightningDataModule):
    def __init__(self, *sizes):
        super().__init__()
        edges = [torch.stack([torch.arange(n), torch.arange(n).roll(1)]) for n in sizes]
        self.graphs = [Data(torch.randn(e.size(1), 2), e, y=e[0, :1]) for e in edges]

    def test_dataloader(self):
        return SimpleNamespace(dataset=self.graphs)


def test_pictures_are_written(tmp_path):
    log, folder = tmp_path / "metrics.csv", tmp_path / "new"
    log.write_text(LOG)
    paths = plot.plot_run(Model(), Cycles(3, 20, 25), folder, log)
    assert paths == [folder / "clusters.png", folder / "curves.png"]
    assert all(path.stat().st_size > 10_000 for path in paths)
    assert plot.plot_run(Model(), Cycles(600, 1), folder, tmp_path / "no") == paths[:1]


def test_no_graph_to_draw_is_an_error(tmp_path):
    for sizes, count in (([30], 0), ([], 1)):
        with pytest.raises(ValueError, match=f"'num_graphs' {count} of {len(sizes)}"):
            plot.plot_run(Model(), Cycles(*sizes), tmp_path, num_graphs=count)


def test_graphs_of_readable_size_are_drawn(tmp_path, monkeypatch):
    sizes: list[int] = []
    monkeypatch.setattr(plot, "_title", lambda data, *_: sizes.append(data.num_nodes))
    plot.plot_run(Model(), Cycles(3, 30, 300, 40, 20, 60), tmp_path, num_graphs=2)
    plot.plot_run(Model(), Cycles(4, 3), tmp_path, num_graphs=5)
    assert sizes == [30, 60, 3, 4]


def test_titles():
    out, labels = torch.tensor([-50, 1.23, 0.536]), [1.0, 1.0, float("nan")]
    for task, y, title in (
        ("classification", [2.0], "true class: 2, predicted: 1 (67%)"),
        ("classification", None, "predicted: 1 (67%)"),
        ("multilabel", [labels], "2 labels predicted, 1 of 2 right"),
        ("multilabel", None, "2 labels predicted"),
        ("regression", [labels[:2]], "predicted -50 1.23 0.536, true 1 1"),
        ("regression", None, "predicted -50 1.23 0.536"),
    ):
        data = Data(num_nodes=7, y=None if y is None else torch.tensor(y))
        told = plot._title(data, out, {"task": task, "class_names": None})
        assert told == f"7 nodes, {title}"


def test_clusters_of_the_composed_assignments():
    first = torch.tensor([[0.6, 0.4, 0.0], [0.0, 0.9, 0.1], [0.1, 0.3, 0.6]])
    second = torch.tensor([[[0.8, 0.2], [0.1, 0.9], [0.5, 0.5]]])
    levels = [SimpleNamespace(assignment=s) for s in (first, second)]
    # Row 0 of the product is (0.52, 0.48), not that of its likeliest cluster.
    assert [c.tolist() for c in plot.hard_clusters(levels)] == [[0, 1, 2], [0, 1, 1]]


def test_a_layout_separates_nodes_and_components():
    net = nx.disjoint_union_all([nx.star_graph(4), nx.star_graph(5), nx.empty_graph(2)])
    places = torch.tensor([*plot._places(net).values()])
    assert (torch.cdist(places, places) + torch.eye(len(net))).min() > 0.05


def test_curves(tmp_path):
    log = tmp_path / "metrics.csv"
    log.write_text(LOG)
    panels = plot._draw_curves(log).axes
    assert [p.get_title() for p in panels] == ["task loss", "clusters in use", "metric"]
    lines = {line.get_label(): line for p in panels for line in p.get_lines()}
    assert list(lines["train task loss"].get_ydata()) == [1.1, 0.9]
    assert list(lines["val perplexity 1"].get_ydata()) == [3, 2, 2]
    assert list(lines["baseline"].get_ydata()) == [0.25, 0.25]
    assert list(lines["best: epoch 1"].get_ydata()) == [0.8]
