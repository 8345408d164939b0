"""Names of functions: vocabulary, F1, both sets, training."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch
from benchmarks.reproduce.code2 import (
    METHODS,
    Code2,
    NameData,
    both_ways,
    decode,
    encode,
    load_code2,
    load_python_functions,
    name_f1,
    vocabulary,
)
from benchmarks.reproduce.sets import AbsentSetError
from benchmarks.reproduce.settings import WORDS, WordSettings
from torch_geometric.data import Data

from pyg_diffpool.datasets import PythonFunctions

NAMES = [["get", "name"], ["set", "name"], ["get", "size"], ["get"]]


def code2(results: Path) -> Code2:
    return Code2(Namespace(results=results, sets=None))


def test_vocabulary_there_and_back() -> None:
    words = vocabulary(NAMES, size=2)
    assert words == ["get", "name", "__UNK__", "__EOS__"]
    numbers = encode([["get", "size"], [], ["name"] * 4], words, 3)
    assert numbers.tolist() == [[0, 2, 3], [3, 3, 3], [1, 1, 1]]
    assert decode(numbers, words) == [["get", "__UNK__"], [], ["name"] * 3]


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


class OgbSet(list[Data]):
    """Eight trees of three nodes, as `ogb` loads ogbg-code2."""

    def __init__(self, *_: object) -> None:
        names = ["get name", "set name", "get size", "get"] * 2
        names[-1] = "unseen"
        super().__init__(
            Data(
                x=torch.tensor([[97, 10029], [3, 4], [5, 6]]),
                edge_index=torch.tensor([[0, 0], [1, 2]]),
                node_is_attributed=torch.tensor([[0], [1], [1]]),
                node_dfs_order=torch.tensor([[0], [1], [2]]),
                node_depth=torch.tensor([[0], [1], [77]]),
                y=name.split(),
            )
            for name in names
        )

    def get_idx_split(self) -> dict[str, torch.Tensor]:
        parts = {"train": range(4), "valid": (4, 5), "test": (6, 7)}
        return {part: torch.tensor([*graphs]) for part, graphs in parts.items()}


def test_code2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ogb")
    monkeypatch.setattr("benchmarks.reproduce.code2.load_dataset", OgbSet)
    data = load_code2(tmp_path, 64)
    assert data.sizes() == {"train": 4, "val": 2, "test": 2}
    assert data.names[0] == ["get", "name"]
    assert "unseen" not in data.words
    assert data.dataset[0].x.tolist() == [[97, 10029, 0], [3, 4, 1], [5, 6, 20]]
    assert data.dataset[1].edge_index.size(1) == 2 * (2 + 1)
    settings = WORDS["ogbg-code2"]
    record = code2(tmp_path).run_fold(data, "", METHODS[2], 0, settings)
    assert record["test"] < 1


def test_code2_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ogb")

    def refuse(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("benchmarks.reproduce.code2.load_dataset", refuse)
    load_code2.cache_clear()
    with pytest.raises(AbsentSetError, match=r"no network.*code2\.zip"):
        load_code2(tmp_path, 64)


def python_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NameData:
    source = tmp_path / "source"
    source.mkdir()
    for i in range(20):
        body = "".join(
            f"def get_x{i}_{j}(a):\n    return a + {i * j}\n\n" for j in range(1, 4)
        )
        (source / f"module{i}.py").write_text(body + "def same(b):\n    return b\n")
    dataset = PythonFunctions(tmp_path / "cache", source=source)
    monkeypatch.setattr("benchmarks.reproduce.code2.PythonFunctions", lambda _: dataset)
    load_python_functions.cache_clear()
    return load_python_functions(None, 16)


def test_python_functions_split_by_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = python_functions(tmp_path, monkeypatch)
    split = data.split
    modules = {
        part: {data.names[i][2] for i in split[part].tolist() if i % 4 < 3}
        for part in ("train", "val", "test")
    }
    assert not modules["train"] & (modules["val"] | modules["test"])
    assert not modules["val"] & modules["test"]
    assert ["same"] in [data.names[i] for i in split["train"].tolist()]
    later = torch.cat([split["val"], split["test"]]).tolist()
    assert ["same"] not in [data.names[i] for i in later]
    trained = {word for i in split["train"].tolist() for word in data.names[i]}
    assert set(data.words[:-2]) == trained


def test_both_networks_learn_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ogb")
    data = python_functions(tmp_path, monkeypatch)
    settings = WordSettings(epochs=8, hidden=16, clusters=4, batch_size=16, lr=0.02)
    table = code2(tmp_path)
    records = {
        method: table.run_fold(data, "PythonFunctions", method, 0, settings)
        for method in METHODS
    }
    for method in METHODS[:2]:
        assert len(records[method]["val"]) == 8
        assert records[method]["test"] > records[METHODS[2]]["test"]
