"""The data set: what is in it, its labels, its cache file."""

import platform
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch_geometric.loader import DataLoader

from pyg_diffpool.datasets import PythonFunctions
from pyg_diffpool.datasets import python_functions as implementation
from pyg_diffpool.datasets.python_functions import UNLABELLED, source_files
from pyg_diffpool.datasets.syntax_tree import name_words, read_trees

Make = Callable[..., PythonFunctions]


@pytest.fixture
def make(sources, tmp_path):
    return partial(PythonFunctions, root=tmp_path / "root", source=sources)


def contents(dataset):
    held = {**dataset._data.to_dict(), "slices": [*dataset.slices.values()]}
    values = [v.tolist() if hasattr(v, "tolist") else str(v) for v in held.values()]
    return [values, dataset.type_vocabulary, dataset.attribute_vocabulary]


def test_one_graph_a_function_with_words_and_module(make):
    dataset = make()
    modules = [dataset.module_names[int(data.module)] for data in dataset]
    words = [" ".join(data.name_tokens) for data in dataset]
    assert list(zip(modules, words, dataset.y.tolist(), strict=True)) == [
        ("pkg", "get name", 0),
        ("pkg", "get size", 0),
        ("pkg.copy", "area", 1),
        ("pkg.copy", "get area", 0),
        ("pkg.latin", "set é", 2),
        ("shapes", "area", 1),
        ("shapes", "get side", 0),
        ("shapes", "set side", 2),
    ]
    assert dataset.class_names == ["get", "area", "set"]
    batch = next(iter(DataLoader(dataset, batch_size=8)))
    assert batch.name_tokens == [data.name_tokens for data in dataset]


def test_rare_words_are_no_class(make, monkeypatch):
    monkeypatch.setattr(implementation, "NUM_CLASSES", 2)
    every, labelled = make(), make(labelled_only=True)
    assert every.y.tolist().count(UNLABELLED) == 2
    assert labelled.num_classes == every.num_classes == 2
    assert [int(data.y) for data in labelled] == [0, 0, 1, 0, 1, 0]


def test_cache(make, sources, monkeypatch):
    first, other = make(), make(root=sources.parent / "other")
    monkeypatch.delattr(implementation, "read_trees")
    assert contents(first) == contents(make()) == contents(other)
    with pytest.raises(NameError, match="read_trees"):
        make(force_reload=True)


def test_each_interpreter_and_set_of_sources_has_a_cache_of_its_own(
    make, sources, monkeypatch
):
    folders, path = {make().processed_dir}, sources / "shapes.py"
    path.write_text(path.read_text().replace("Square", "Circle"))
    folders.add(make().processed_dir)
    path.rename(sources / "forms.py")
    folders.add(make().processed_dir)
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    assert len({*folders, make().processed_dir}) == 4


def test_a_killed_build_is_made_anew(make):
    whole = contents(make())
    graphs, names = map(Path, make().processed_paths)
    graphs.write_bytes(graphs.read_bytes()[:99])  # the second file follows a whole one
    names.unlink()
    assert contents(make()) == whole


def test_transforms_and_filters(make, tmp_path):
    def double(data):
        data.x = data.x * 2
        return data

    stored = make(root=tmp_path / "stored", pre_transform=double, transform=double)
    assert torch.equal(stored.x, make().x * 2)
    assert torch.equal(stored[0].x, make()[0].x * 4)
    areas = make(root=tmp_path / "few", pre_filter=lambda data: int(data.y) == 1)
    assert [data.name_tokens for data in areas] == [["area"], ["area"]]


def test_few_functions(tmp_path, monkeypatch):
    monkeypatch.setenv("PYG_HOME", str(tmp_path / "home"))
    file = tmp_path / "one.py"
    for files in (0, 1):
        with pytest.raises(ValueError, match=f"functions in the {files} Python files"):
            PythonFunctions(source=tmp_path)
        file.write_text("x = 1\n")
    file.write_text("def get(): pass\n")
    dataset = PythonFunctions(source=tmp_path)
    assert [data.name_tokens for data in dataset] == [["get"]]
    assert Path(dataset.root) == tmp_path / "home" / "PythonFunctions"


@pytest.mark.slow
def test_standard_library(tmp_path):
    dataset = PythonFunctions(tmp_path)
    assert len(dataset) > 10_000
    assert dataset.num_classes == 20
    assert {"init", "get", "set", "is"} <= set(dataset.class_names)
    assert {"argparse", "ast", "json.decoder"} <= set(dataset.module_names)
    assert not [name for name in dataset.module_names if name.startswith("test.")]
    assert tuple(dataset.x.amax(0) + 1) == dataset.feature_cardinalities
    assert len(dataset.attribute_vocabulary) == 10_003
    counts = dataset.y[dataset.y >= 0].bincount().tolist()
    assert counts == sorted(counts, reverse=True)


def test_no_name_leaks_into_its_own_graph(asyncio_functions):
    dataset = asyncio_functions
    for index, path in enumerate(source_files(dataset._source)):
        graphs = dataset[dataset.module == index]
        for data, tree in zip(graphs, read_trees(path), strict=True):
            assert data.name_tokens == name_words(tree.name)
            own_name = re.compile(rf"(?<!\w){re.escape(tree.name)}(?!\w)")
            texts = [dataset.attribute_vocabulary[i] for i in data.x[:, 1].unique()]
            assert "<mask>" in texts
            assert not [text for text in texts if own_name.search(text)]


def test_equal_graphs_share_a_group(asyncio_functions):
    groups: dict[object, set[int]] = {}
    for data in asyncio_functions:
        key = (data.x.numpy().tobytes(), data.edge_index.numpy().tobytes())
        groups.setdefault(key, set()).add(int(data.duplicate_group))
    assert len(set.union(*groups.values())) == len(groups)
    assert len(groups) < len(asyncio_functions)
