"""Splits, tasks and metrics, and the sets by name."""

import json

import pytest
import torch
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score
from torch_geometric.data import Data, InMemoryDataset, OnDiskDataset
from torch_geometric.datasets import FakeDataset
from torch_geometric.transforms import Constant

from pyg_diffpool.train import GraphDataModule
from pyg_diffpool.train.data import check_graph
from pyg_diffpool.train.sets import load_dataset
from pyg_diffpool.train.splits import check_split, fold_split, split_from_file
from pyg_diffpool.train.task import (
    check_targets,
    infer_task,
    task_loss,
    task_metrics,
)

NAN = float("nan")


def test_folds_partition_the_graphs_and_keep_the_shares_of_classes():
    y = torch.arange(100) % 2
    splits = [fold_split(y, 100, fold) for fold in range(10)]
    for part in ("val", "test"):
        joined = torch.cat([split[part] for split in splits])
        assert joined.sort().values.tolist() == list(range(100))
    for fold, split in enumerate(splits):
        assert [len(split[k]) for k in ("train", "val", "test")] == [80, 10, 10]
        assert all(y[split[k]].float().mean() == 0.5 for k in split)
        assert torch.equal(split["val"], splits[(fold + 1) % 10]["test"])
        check_split(split, 100)


@pytest.mark.parametrize("classes", [True, False])
def test_groups_stay_together(classes):
    y, groups = torch.arange(120) % 3 if classes else None, torch.arange(120) // 6
    split = fold_split(y, 120, 0, num_folds=4, groups=groups)
    found = [set(groups[part].tolist()) for part in split.values()]
    assert sum(map(len, found)) == len(set.union(*found)) == 20


def test_folds_without_classes_follow_the_seed():
    first, again, other = (fold_split(None, 50, 0, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first["test"], again["test"])
    assert not torch.equal(first["test"], other["test"])


@pytest.mark.parametrize("arguments", [(10, 10), (-1, 10), (0, 2), (0, 31)])
def test_no_such_fold(arguments):
    with pytest.raises(ValueError, match="Expected 'fold' below 'num_folds'"):
        fold_split(None, 30, *arguments)


PLAIN = {"train": [0, 1, 2], "validation": [3], "test": [4, 5]}
ERRICA = {"test": [4, 5], "model_selection": [{"train": [0, 1, 2], "validation": [3]}]}


@pytest.mark.parametrize("content", [PLAIN, [PLAIN], [PLAIN, ERRICA], ERRICA])
def test_files_of_splits(tmp_path, content):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(content))
    fold = len(content) - 1 if isinstance(content, list) else None
    split = split_from_file(path, 6, fold)
    parts = {name: graphs.tolist() for name, graphs in split.items()}
    assert parts == {"train": [0, 1, 2], "val": [3], "test": [4, 5]}


def test_a_file_of_one_split_has_no_other_fold(tmp_path):
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(PLAIN))
    for fold in (1, -1):
        with pytest.raises(ValueError, match=f"for fold {fold}"):
            split_from_file(path, 6, fold)


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[]",
        '{"train": [0], "val": [1], "test": []}',
        '{"train": [0], "val": [1], "test": [1]}',
        '{"train": [0], "val": [1], "test": [6]}',
        '{"train": [0], "val": [-1], "test": [2]}',
        '{"train": [0.5], "val": [1], "test": [2]}',
        '{"train": ["a"], "val": [1], "test": [2]}',
    ],
)
def test_files_that_hold_no_split_are_named(tmp_path, content):
    path = tmp_path / "splits.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"Expected '.*splits.json' to hold lists"):
        split_from_file(path, 6)


TASKS = {
    "classes": (torch.tensor([[0], [2]]), "classification"),
    "labels": (torch.tensor([[0, 1], [1, 1]]), "multilabel"),
    "labels, some missing": (torch.tensor([[0.0, NAN], [1.0, 1.0]]), "multilabel"),
    "one label, missing in places": (torch.tensor([[0.0], [NAN]]), "multilabel"),
    "numbers": (torch.tensor([[0.5], [2.0]]), "regression"),
}


@pytest.mark.parametrize(("y", "task"), TASKS.values(), ids=TASKS)
def test_tasks_are_told_from_the_targets(y, task):
    assert infer_task(y) == task
    check_targets(task, y)


def test_labels_that_are_missing_count_nowhere():
    torch.manual_seed(0)
    out = torch.randn(40, 4)
    y = (torch.rand(40, 4) < 0.4).float()
    y[torch.rand(40, 4) < 0.3] = NAN
    y[:, 3] = 0  # a label that no graph has
    known = [~y[:, i].isnan() for i in range(3)]
    pairs = [(y[k, i].numpy(), out[k, i].numpy()) for i, k in enumerate(known)]
    metrics = task_metrics("multilabel", 4)
    for rows in (slice(i, i + 1) for i in range(40)):  # of graphs one by one
        metrics.update(out[rows], y[rows])
    result = metrics.compute()
    for name, score in (
        ("average_precision", average_precision_score),
        ("roc_auc", roc_auc_score),
    ):
        expected = sum(score(*pair) for pair in pairs) / 3
        assert result[name].item() == pytest.approx(expected, abs=1e-6)
    loss = task_loss("multilabel", out, y, lambda values: values)
    terms = torch.nn.functional.binary_cross_entropy_with_logits(
        out, y.nan_to_num(0), reduction="none"
    )
    torch.testing.assert_close(loss, terms[~y.isnan()].mean())
    nothing = task_loss("multilabel", out, torch.full_like(y, NAN), lambda v: v)
    assert nothing == 0


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_r2_does_not_depend_on_the_mean(offset):
    torch.manual_seed(0)
    y = torch.randn(200, 2) + offset
    out = y + 0.3 * torch.randn(200, 2)
    metrics = task_metrics("regression", 2)
    for rows in (slice(0, 150), slice(150, 200)):
        metrics.update(out[rows], y[rows])
    expected = r2_score(y.numpy(), out.numpy())
    assert metrics.compute()["r2"].item() == pytest.approx(expected, abs=1e-6)


class OnDisk(OnDiskDataset):
    def __init__(self, root):
        schema = {"x": {"dtype": torch.float, "size": (-1, 2)}}
        schema |= {"edge_index": {"dtype": torch.long, "size": (2, -1)}, "y": int}
        super().__init__(str(root), schema=schema)
        if len(self) == 0:
            self.extend([self.graph(i) for i in range(30)])

    @staticmethod
    def graph(i):
        edge_index = torch.tensor([[0, 1], [1, 0]])
        return Data(x=torch.full((2, 2), float(i)), edge_index=edge_index, y=i % 2)

    def serialize(self, data):
        return {"x": data.x, "edge_index": data.edge_index, "y": data.y}

    def deserialize(self, row):
        return Data(**row)


@pytest.mark.parametrize("workers", [0, 1])
def test_sets_on_disk_give_the_graphs_of_the_split(tmp_path, workers):
    dataset = OnDisk(tmp_path)
    options = {"num_folds": 3, "num_workers": workers, "batch_size": 4}
    data = GraphDataModule(dataset, **options)
    data.setup("fit")
    for part in ("train", "val", "test"):
        loader = getattr(data, f"{part}_dataloader")()
        found = torch.cat([batch.x[::2, 0] for batch in loader]).sort().values
        assert found.tolist() == data.split[part].tolist()
        assert [int(y) for y in data.targets] == [i % 2 for i in range(30)]


def test_graphs_without_features_get_their_degrees():
    dataset = FakeDataset(num_graphs=12, num_classes=2, num_channels=0)
    data = GraphDataModule(dataset)
    data.setup("predict")
    assert data.in_channels == 5
    assert dataset[0].x is None  # as it was


def test_a_transform_of_the_set_comes_first():
    dataset = FakeDataset(num_graphs=12, num_channels=0, transform=Constant())
    data = GraphDataModule(dataset)
    data.setup("predict")
    assert data.in_channels == 1


def test_all_graphs_have_what_one_has():
    graph = OnDisk.graph(0)
    weighted = graph.clone()
    weighted.edge_weight = torch.ones(2)
    for first, other in ((graph, weighted), (weighted, graph)):
        with pytest.raises(ValueError, match=r"'edge_weight' in all .*graph 3"):
            check_graph(other, first, 3)


def test_the_set_of_a_checkpoint_may_have_no_name():
    data = GraphDataModule(FakeDataset(num_graphs=12, num_classes=2))
    again = GraphDataModule(**data.hparams)
    with pytest.raises(ValueError, match="data set of the training has no name"):
        again.setup("test")


class WithSplit(InMemoryDataset):
    def __init__(self):
        super().__init__()
        graphs = [OnDisk.graph(i) for i in range(12)]
        self.data, self.slices = self.collate(graphs)

    def get_idx_split(self):
        return {"train": range(8), "valid": [8, 9], "test": torch.tensor([10, 11])}


def test_the_split_of_the_set_is_taken_unless_a_fold_is_asked_for():
    data = GraphDataModule(WithSplit())
    data.setup("fit")
    assert data.split["val"].tolist() == [8, 9]
    data = GraphDataModule(WithSplit(), fold=0, num_folds=4)
    data.setup("fit")
    assert len(data.split["test"]) == 3


def test_ogb_sets_are_loaded_by_ogb(tmp_path):
    """From files in OGB's form, as its package writes them after a download."""
    pytest.importorskip("ogb")
    root = tmp_path / "ogbg_molhiv"
    for folder in ("raw", "processed", "split/scaffold", "mapping"):
        (root / folder).mkdir(parents=True)
    (root / "RELEASE_v1.txt").touch()
    for name in ("edge", "node-feat", "edge-feat"):
        (root / "raw" / f"{name}.csv.gz").touch()
    graphs = []
    for i in range(8):
        graph = OnDisk.graph(i)
        graph.x, graph.y = graph.x.long(), torch.tensor([[i % 2]])
        graphs.append(graph)
    path = root / "processed" / "geometric_data_processed.pt"
    torch.save(InMemoryDataset.collate(graphs), path)
    for name in ("pre_transform.pt", "pre_filter.pt"):
        torch.save("None", root / "processed" / name)
    split = {"train": range(4), "valid": range(4, 6), "test": range(6, 8)}
    tensors = {name: torch.tensor([*graphs]) for name, graphs in split.items()}
    torch.save(tensors, root / "split/scaffold/split_dict.pt")
    data = GraphDataModule(load_dataset("ogbg-molhiv", str(tmp_path)))
    data.setup("fit")
    assert data.in_channels == [8, 8]
    assert data.split["test"].tolist() == [6, 7]
