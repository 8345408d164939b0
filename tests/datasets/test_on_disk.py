"""Data sets on disk: the right graphs, and never many of them in memory."""

import sys
import weakref
from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Data, OnDiskDataset

from pyg_diffpool.datasets import features

pytest.importorskip("lightning")
from lightning import Trainer

from pyg_diffpool.datasets.module import GraphDataModule
from pyg_diffpool.lightning import GraphClassifier

NUM_GRAPHS, BATCH_SIZE = 60, 4
alive: set[int] = set()
most_alive = 0


def graph(i: int) -> Data:
    n = 3 + i % 4
    ring = torch.arange(n)
    edge_index = torch.stack([ring, ring.roll(1)])
    x = torch.stack([torch.full((n,), float(i)), ring.float()], 1)
    return Data(x=x, edge_index=edge_index, y=torch.tensor([i % 2]), number=i)


class Rings(OnDiskDataset):
    """Sixty rings in SQLite; counts the graphs that are in memory."""

    def __init__(self, root: str) -> None:
        schema = {
            "x": {"dtype": torch.float, "size": (-1, 2)},
            "edge_index": {"dtype": torch.long, "size": (2, -1)},
            "y": int,
            "number": int,
        }
        super().__init__(root, schema=schema)

    def process(self) -> None:
        self.extend([graph(i) for i in range(NUM_GRAPHS)])

    def serialize(self, data: Data) -> dict[str, object]:
        return data.to_dict() | {"y": int(data.y)}

    def deserialize(self, row: dict[str, object]) -> Data:
        global most_alive
        data = Data(**row | {"y": torch.tensor([row["y"]])})
        alive.add(id(data))
        weakref.finalize(data, alive.discard, id(data))
        most_alive = max(most_alive, len(alive))
        return data


class Typed(Rings):
    """The same with an integer `x`."""

    def deserialize(self, row: dict[str, object]) -> Data:
        data = super().deserialize(row)
        data.x = data.x.long()
        return data


@pytest.fixture
def folder(tmp_path, monkeypatch):
    global most_alive
    monkeypatch.setattr(features, "CHUNK", 8)
    own = SimpleNamespace(Rings=Rings, Typed=Typed)
    monkeypatch.setitem(sys.modules, "rings_on_disk", own)
    alive.clear()
    most_alive = 0
    return str(tmp_path)


def module(folder, name="Rings", **options):
    return GraphDataModule(
        f"rings_on_disk:{name}", folder, batch_size=BATCH_SIZE, **options
    )


@pytest.mark.parametrize("num_workers", [0, 2])
def test_loaders_give_the_graphs_of_their_part(folder, num_workers):
    data = module(folder, num_workers=num_workers, standardize=False)
    assert data.labels.tolist() == [i % 2 for i in range(NUM_GRAPHS)]
    loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    parts = (data.split.train, data.split.val, data.split.test)
    for loader, part in zip(loaders, parts, strict=True):
        seen = [
            (int(batch[i].number), batch[i].x)
            for batch in loader
            for i in range(len(batch))
        ]
        assert sorted(number for number, _ in seen) == part.tolist()
        for number, x in seen:
            assert_close(x, graph(number).x)


def test_few_graphs_are_in_memory(folder):
    data = module(folder)
    assert data.in_channels == 2
    for batch in data.train_dataloader():
        assert batch.num_graphs <= BATCH_SIZE
    assert 0 < most_alive <= 3 * BATCH_SIZE
    assert module(folder, "Typed").in_channels == [NUM_GRAPHS, 6]
    assert most_alive <= 3 * BATCH_SIZE


def test_statistics_are_those_of_all_training_graphs(folder):
    data = module(folder)
    x = torch.cat([graph(i).x for i in data.split.train.tolist()])
    for batch in data.test_dataloader():
        raw = torch.cat([graph(int(i)).x for i in batch.number])
        assert_close(batch.x, (raw - x.mean(0)) / x.std(0, correction=0))


def test_training_reads_from_disk(folder):
    data = module(folder)
    model = GraphClassifier(data.in_channels, data.num_classes, 8, [2])
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar"), False
    )
    trainer = Trainer(max_epochs=1, accelerator="cpu", devices=1, **quiet)
    trainer.fit(model, data)
    trainer.predict(model, data)
    assert most_alive <= 3 * BATCH_SIZE
