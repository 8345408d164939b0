"""Names of functions: vocabulary, F1, both sets, training."""

import gzip
from pathlib import Path

import pytest
import torch
from benchmarks.reproduce import code2
from benchmarks.reproduce.name_data import (
    NameData,
    both_ways,
    load_code2,
    load_python_functions,
)
from benchmarks.reproduce.names import NameVocabulary, name_f1
from benchmarks.reproduce.networks.words import WordsDiffPool
from benchmarks.reproduce.sets import AbsentSetError
from benchmarks.reproduce.settings import WORDS, WordSettings
from torch_geometric.data import Data

from pyg_diffpool.datasets import PythonFunctions, Split

NAMES = [["get", "name"], ["set", "name"], ["get", "size"], ["get"]]


def test_vocabulary_there_and_back() -> None:
    vocabulary = NameVocabulary.of(NAMES, size=2)
    assert vocabulary.words == ["get", "name", "__UNK__", "__EOS__"]
    numbers = vocabulary.encode([["get", "size"], [], ["name"] * 4], 3)
    assert numbers.tolist() == [[0, 2, 3], [3, 3, 3], [1, 1, 1]]
    decoded = vocabulary.decode(numbers)
    assert decoded == [["get", "__UNK__"], [], ["name"] * 3]


def test_f1_is_ogbs() -> None:
    pytest.importorskip("ogb")
    assert name_f1(NAMES, NAMES) == 1.0
    # precision 1/2 and recall 1; then nothing right
    predicted = [["get", "a"], ["b"]]
    assert name_f1([["get"], ["set"]], predicted) == pytest.approx((2 / 3 + 0) / 2)


def test_edges_as_ogbs_augment_edge() -> None:
    graph = Data(
        edge_index=torch.tensor([[0, 0, 1], [1, 3, 2]]),
        node_dfs_order=torch.tensor([[0], [1], [2], [3]]),
        node_is_attributed=torch.tensor([[0], [1], [1], [1]]),
    )
    pairs = {tuple(pair) for pair in both_ways(graph).t().tolist()}
    forward = {(0, 1), (0, 3), (1, 2), (2, 3)}
    assert pairs == forward | {(j, i) for i, j in forward}


def write_gz(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.write("".join(f"{line}\n" for line in lines))


def write_code2(root: Path) -> None:
    """Eight trees of three nodes in the raw layout of ogbg-code2."""
    folder, graphs = root / "ogbg_code2", 8
    folder.mkdir(parents=True)
    (folder / "RELEASE_v1.txt").write_text("")
    raw = folder / "raw"
    write_gz(raw / "edge.csv.gz", ["0,1", "0,2"] * graphs)
    write_gz(raw / "num-node-list.csv.gz", ["3"] * graphs)
    write_gz(raw / "num-edge-list.csv.gz", ["2"] * graphs)
    write_gz(raw / "node-feat.csv.gz", ["97,10029", "3,4", "5,6"] * graphs)
    write_gz(raw / "node_is_attributed.csv.gz", ["0", "1", "1"] * graphs)
    write_gz(raw / "node_dfs_order.csv.gz", ["0", "1", "2"] * graphs)
    write_gz(raw / "node_depth.csv.gz", ["0", "1", "77"] * graphs)
    names = ["get name", "set name", "get size", "get"] * 2
    write_gz(raw / "graph-label.csv.gz", [*names[:-1], "unseen"])
    split = folder / "split" / "project"
    for part, members in (("train", range(4)), ("valid", (4, 5)), ("test", (6, 7))):
        write_gz(split / f"{part}.csv.gz", [str(i) for i in members])


def test_code2_is_loaded_by_ogb(tmp_path: Path) -> None:
    pytest.importorskip("ogb")
    write_code2(tmp_path)
    for _ in range(2):  # made, then read back
        data = load_code2(tmp_path)
        assert data.split.sizes == (4, 2, 2)
        assert data.names[0] == ["get", "name"]
        assert "unseen" not in data.vocabulary.words
        assert data.store.x[:3].tolist() == [[97, 10029, 0], [3, 4, 1], [5, 6, 20]]
        assert data.store.take(torch.tensor([1])).edge_index.size(1) == 2 * (2 + 1)
    record = code2.run_seed(data, "most frequent name", 0, WORDS["ogbg-code2"])
    assert record["test"] < 1


def test_code2_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphproppred = pytest.importorskip("ogb.graphproppred")

    def refuse(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(graphproppred, "PygGraphPropPredDataset", refuse)
    with pytest.raises(AbsentSetError, match=r"no network.*code2\.zip"):
        load_code2(tmp_path)


def python_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NameData:
    source = tmp_path / "source"
    source.mkdir()
    for i in range(20):
        body = "".join(
            f"def get_x{i}_{j}(a):\n    return a + {i * j}\n\n" for j in range(1, 4)
        )
        (source / f"module{i}.py").write_text(body + "def same(b):\n    return b\n")
    dataset = PythonFunctions(tmp_path / "cache", source=source)
    monkeypatch.setattr(
        "benchmarks.reproduce.name_data.PythonFunctions", lambda _: dataset
    )
    return load_python_functions(None)


def test_python_functions_split_by_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = python_functions(tmp_path, monkeypatch)
    split = data.split
    modules = {
        part: {data.names[i][2] for i in getattr(split, part).tolist() if i % 4 < 3}
        for part in ("train", "val", "test")
    }
    assert not modules["train"] & (modules["val"] | modules["test"])
    assert not modules["val"] & modules["test"]
    assert ["same"] in [data.names[i] for i in split.train.tolist()]
    later = torch.cat([split.val, split.test]).tolist()
    assert ["same"] not in [data.names[i] for i in later]
    trained = {word for i in split.train.tolist() for word in data.names[i]}
    assert set(data.vocabulary.words[:-2]) == trained


def test_both_networks_learn_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ogb")
    data = python_functions(tmp_path, monkeypatch)
    same = NameData(
        data.store,
        data.names,
        Split(data.split.train, data.split.val, data.split.test),
        data.vocabulary,
        data.cardinalities,
    )
    settings = WordSettings(epochs=8, hidden=16, clusters=4, batch_size=16, lr=0.02)
    base = code2.run_seed(same, "most frequent name", 0, settings)["test"]
    for method in code2.METHODS[:2]:
        record = code2.run_seed(same, method, 0, settings)
        assert len(record["val"]) == 8
        assert record["test"] > base
    assert isinstance(code2.make_network("DiffPool", same, settings), WordsDiffPool)
