import subprocess
import sys

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.utils import is_undirected

from pyg_diffpool.datasets import PythonFunctions
from pyg_diffpool.datasets import module as implementation

pytest.importorskip("lightning")
from pyg_diffpool.datasets.module import GraphDataModule


@pytest.fixture
def folder(tmp_path):
    """Forty graphs of two nodes, three quarters of class 7, with two attributes."""
    folder = tmp_path / "PAIRS"
    folder.mkdir()
    files = {
        "A": [f"{2 * g + 1}, {2 * g + 2}\n{2 * g + 2}, {2 * g + 1}" for g in range(40)],
        "graph_indicator": [f"{g}\n{g}" for g in range(1, 41)],
        "graph_labels": ["7" if g % 4 else "3" for g in range(40)],
        "node_attributes": [f"{node * node}, {node % 2}" for node in range(80)],
    }
    for kind, lines in files.items():
        (folder / f"PAIRS_{kind}.txt").write_text("\n".join(lines) + "\n")
    return str(folder)


def attributes(data, part):
    return torch.cat([data.dataset[i].x for i in part.tolist()])


def test_all_is_known_right_after_construction(folder):
    data = GraphDataModule(folder)
    assert data.in_channels == 2
    assert data.num_classes == 2
    assert data.class_names == ["3", "7"]
    assert data.split.sizes == (32, 4, 4)
    assert data.majority_accuracy == 0.75


def test_training_statistics_alone_standardize(folder):
    data = GraphDataModule(folder)
    train = attributes(data, data.split.train)
    assert_close(train[:, 0].mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    assert_close(train[:, 0].std(correction=0), torch.tensor(1.0))
    assert abs(float(attributes(data, data.split.test)[:, 0].mean())) > 1e-3
    assert sorted(train[:, 1].unique().tolist()) == [0, 1]
    raw = GraphDataModule(folder, standardize=False)
    assert attributes(raw, raw.split.train).max() > 1000


def test_loaders_cover_their_parts(folder):
    data = GraphDataModule(folder, batch_size=5)
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    for loader, size in zip(loaders, data.split.sizes, strict=True):
        batches = list(loader)
        assert sum(batch.num_graphs for batch in batches) == size
        for batch in batches:
            assert (batch.edge_index[0].diff() >= 0).all()
            assert is_undirected(batch.edge_index)
    tested = torch.cat([batch.y for batch in data.predict_dataloader()])
    assert_close(tested, data.labels[data.split.test])


def test_training_order_is_seeded_and_shuffled(folder):
    def order(seed):
        data = GraphDataModule(
            folder, batch_size=32, seed=seed, split_file=None, fold=0
        )
        epochs = data.train_dataloader()
        return [next(iter(epochs)).x[:, 0] for _ in range(2)]

    first, again = order(3), order(3)
    assert_close(first, again)
    assert not torch.equal(first[0], first[1])
    assert_close(first[0].sort().values, first[1].sort().values)


def test_fold_and_split_file_choose_the_split(folder, write_json):
    tested = [GraphDataModule(folder, fold=k, num_folds=4).split.test for k in range(4)]
    assert_close(torch.cat(tested).sort().values, torch.arange(40))
    splits = [{"train": [k], "val": [k + 1], "test": [k + 2]} for k in (0, 10)]
    path = str(write_json(splits))
    assert GraphDataModule(folder, split_file=path).split.test.tolist() == [2]
    assert GraphDataModule(folder, split_file=path, fold=1).split.test.tolist() == [12]


def test_python_functions_are_split_by_group(tmp_path, monkeypatch):
    copies = tmp_path / "copies"
    copies.mkdir()
    for kind in "abcdefghij":
        body = f"    return {kind}\n"
        text = "".join(f"def get_{kind}{i}():\n{body}" for i in range(3))
        (copies / f"{kind}.py").write_text(text + f"def set_{kind}(x):\n{body}")
    dataset = PythonFunctions(tmp_path / "root", source=copies)
    monkeypatch.setattr(implementation, "load_dataset", lambda *_: dataset)
    data = GraphDataModule()
    assert data.in_channels == list(dataset.feature_cardinalities)
    assert data.class_names == ["get", "set"]
    parts = (data.split.train, data.split.val, data.split.test)
    groups = [{int(dataset[i].duplicate_group) for i in p.tolist()} for p in parts]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert next(iter(data.train_dataloader())).name_tokens[0][0] in ("get", "set")


def test_loading_waits_and_happens_once(folder, monkeypatch):
    calls = []

    def load(*arguments):
        calls.append(arguments)
        return original(*arguments)

    original = implementation.load_dataset
    monkeypatch.setattr(implementation, "load_dataset", load)
    data = GraphDataModule(folder)
    assert calls == []
    data.prepare_data()
    data.setup("fit")
    assert data.in_channels == 2
    assert calls == [(folder, None)]


def test_hyperparameters_are_plain(folder):
    hyperparameters = dict(GraphDataModule(folder, fold=2).hparams)
    assert hyperparameters["fold"] == 2
    assert hyperparameters["dataset"] == folder
    assert all(
        value is None or isinstance(value, str | int)
        for value in hyperparameters.values()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "'batch_size' must be at least 1, got 0"),
        ({"num_workers": -1}, "'num_workers' must be at least 0, got -1"),
    ],
)
def test_bad_options(folder, options, message):
    with pytest.raises(ValueError, match=message):
        GraphDataModule(folder, **options)


def test_a_damaged_split_file_is_named_at_first_use(folder, write_json):
    path = write_json({"train": [0], "val": [1], "test": [40]})
    data = GraphDataModule(folder, split_file=str(path))
    with pytest.raises(ValueError, match="from 0 to 39 in 'test'"):
        _ = data.num_classes


def test_data_sets_import_without_lightning():
    code = "import sys, pyg_diffpool.datasets; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.data
def test_enzymes(unpack):
    data = GraphDataModule(str(unpack("ENZYMES")), fold=0)
    assert data.in_channels == 21
    assert data.split.sizes == (480, 60, 60)
    assert data.labels[data.split.test].bincount().tolist() == [10] * 6
    x = attributes(data, data.split.train)
    assert_close(x[:, :18].mean(dim=0), torch.zeros(18), atol=1e-4, rtol=0)
    assert_close(x[:, 18:].sum(dim=1), torch.ones(len(x)))
