import re
import warnings

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import coalesce

from pyg_diffpool.datasets import PythonFunctions, stratified_split
from pyg_diffpool.datasets import python_functions as implementation
from pyg_diffpool.datasets.function_graphs import UNLABELLED
from pyg_diffpool.datasets.python_sources import (
    read_functions,
    source_files,
    standard_library,
)
from pyg_diffpool.datasets.syntax_tree import name_words


class Double(BaseTransform):
    def forward(self, data):
        data.x = data.x * 2
        return data


def cache_files(root):
    return sorted(path.name for path in (root / "processed").iterdir())


@pytest.fixture
def dataset(sources, tmp_path):
    return PythonFunctions(tmp_path / "root", source=sources)


def assert_equal_datasets(first, second):
    assert len(first) == len(second)
    for name in ("type_vocabulary", "attribute_vocabulary", "class_names"):
        assert getattr(first, name) == getattr(second, name)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key in one.keys():  # noqa: SIM118
            if key == "name_tokens":
                assert one[key] == other[key]
            else:
                assert_close(one[key], other[key], rtol=0, atol=0)


def test_one_graph_a_function_with_words_and_module(dataset):
    found = [(dataset.module_names[d.module], " ".join(d.name_tokens)) for d in dataset]
    assert found == [
        ("pkg", "get name"),
        ("pkg", "get size"),
        ("pkg.copy", "area"),
        ("pkg.copy", "get area"),
        ("pkg.latin", "set é"),
        ("shapes", "area"),
        ("shapes", "get side"),
        ("shapes", "set side"),
    ]
    assert dataset.class_names == ["get", "area", "set"]
    assert [int(data.y) for data in dataset] == [0, 0, 1, 0, 2, 1, 0, 2]
    assert dataset.num_classes == 3


def test_functions_with_equal_graphs_share_a_group(dataset):
    groups = [int(data.duplicate_group) for data in dataset]
    assert groups[2] == groups[3]
    assert len(set(groups)) == len(groups) - 1


def test_rare_first_words_have_no_class(sources, tmp_path, monkeypatch):
    monkeypatch.setattr("pyg_diffpool.datasets.function_graphs.NUM_CLASSES", 2)
    every = PythonFunctions(tmp_path / "root", source=sources)
    assert [int(data.y) for data in every].count(UNLABELLED) == 2
    labelled = PythonFunctions(tmp_path / "root", source=sources, labelled_only=True)
    assert len(labelled) == 6
    assert labelled.num_classes == every.num_classes == 2
    assert sorted({int(data.y) for data in labelled}) == [0, 1]


def test_two_builds_are_equal(dataset, sources, tmp_path):
    again = PythonFunctions(tmp_path / "again", source=sources)
    assert_equal_datasets(dataset, again)
    (one,) = (tmp_path / "root" / "processed").iterdir()
    (other,) = (tmp_path / "again" / "processed").iterdir()
    assert one.name == other.name


def test_batches_keep_words_apart_and_edges_sorted(dataset):
    batch = next(iter(DataLoader(dataset, batch_size=len(dataset))))
    assert batch.name_tokens == [data.name_tokens for data in dataset]
    assert_close(batch.edge_index, coalesce(batch.edge_index))
    assert batch.y.shape == batch.module.shape == (len(dataset),)


def test_cache_is_reused(dataset, sources, tmp_path, monkeypatch):
    def refuse(*_):
        raise AssertionError("built although cached")

    monkeypatch.setattr(implementation, "read_function_graphs", refuse)
    again = PythonFunctions(tmp_path / "root", source=sources)
    assert_equal_datasets(dataset, again)
    with pytest.raises(AssertionError, match="built although cached"):
        PythonFunctions(tmp_path / "root", source=sources, force_reload=True)


@pytest.mark.usefixtures("dataset")
def test_cache_is_rebuilt_for_another_interpreter(sources, tmp_path, monkeypatch):
    before = cache_files(tmp_path / "root")
    monkeypatch.setattr("platform.python_version", lambda: "3.99.0")
    PythonFunctions(tmp_path / "root", source=sources)
    after = cache_files(tmp_path / "root")
    assert len(after) == 2
    assert set(before) < set(after)


@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_damaged_cache_is_rebuilt(dataset, sources, tmp_path, kept):
    (path,) = (tmp_path / "root" / "processed").iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.warns(UserWarning, match="is damaged and will be built again"):
        again = PythonFunctions(tmp_path / "root", source=sources)
    assert_equal_datasets(dataset, again)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PythonFunctions(tmp_path / "root", source=sources)


def test_a_killed_build_leaves_no_cache(sources, tmp_path, monkeypatch):
    def die(_content, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", die)
    with pytest.raises(KeyboardInterrupt):
        PythonFunctions(tmp_path / "root", source=sources)
    assert not [*(tmp_path / "root").rglob("*.pt")]


def test_transforms_and_filters(dataset, sources, tmp_path):
    root = tmp_path / "root"
    doubled = PythonFunctions(root, source=sources, transform=Double())
    stored = PythonFunctions(root, source=sources, pre_transform=Double())
    for plain, once, twice in zip(dataset, doubled, stored, strict=True):
        assert_close(once.x, plain.x * 2)
        assert_close(twice.x, plain.x * 2)
    named = PythonFunctions(root, source=sources, pre_filter=lambda d: int(d.y) == 1)
    assert [data.name_tokens for data in named] == [["area"], ["area"]]
    assert len(cache_files(root)) == 3


@pytest.mark.parametrize("count", [1, 2])
def test_a_single_graph_is_a_data_set_too(tmp_path, count):
    (tmp_path / "one.py").write_text("def get(): pass\n" * count)
    for _ in range(2):
        dataset = PythonFunctions(tmp_path / "root", source=tmp_path)
        assert len(dataset) == count
        assert dataset[0].name_tokens == ["get"]


def test_nothing_to_keep_is_refused(sources, tmp_path):
    with pytest.raises(ValueError, match="'pre_filter' refused all 8"):
        PythonFunctions(tmp_path, source=sources, pre_filter=lambda _: False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "x.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="expected functions in the 1 Python files"):
        PythonFunctions(tmp_path, source=tmp_path / "empty")


def test_standard_library(standard_functions):
    dataset = standard_functions
    assert len(dataset) > 10_000
    assert dataset.num_classes == 20
    assert {"init", "get", "set", "is"} <= set(dataset.class_names)
    cardinalities = torch.tensor(dataset.feature_cardinalities)
    stored: Data = dataset._data
    x = torch.cat([stored.x, stored.node_depth], dim=1)
    assert_close(x.amin(dim=0), torch.zeros(3, dtype=torch.long))
    assert_close(x.amax(dim=0) + 1, cardinalities)
    assert dataset.num_node_attributes == 10_003
    counts = stored.y[stored.y >= 0].bincount()
    assert_close(counts, counts.sort(descending=True).values)


def test_no_name_leaks_into_its_own_graph(standard_functions):
    """Every tenth module, as texts that the graphs' indices stand for."""
    dataset, folder = standard_functions, standard_library()
    modules = dataset._data.module
    for index, path in list(enumerate(source_files(folder)))[::10]:
        graphs = dataset[modules == index]
        functions = read_functions(path)
        assert len(graphs) == len(functions)
        for data, function in zip(graphs, functions, strict=True):
            assert data.name_tokens == name_words(function.name)
            own_name = re.compile(rf"(?<!\w){re.escape(function.name)}(?!\w)")
            texts = [dataset.attribute_vocabulary[i] for i in data.x[:, 1].unique()]
            assert "<mask>" in texts
            assert not [text for text in texts if own_name.search(text)]


def test_duplicates_do_not_straddle(standard_functions):
    stored = standard_functions._data
    labelled = stored.y != UNLABELLED
    y, groups = stored.y[labelled], stored.duplicate_group[labelled]
    split = stratified_split(y, groups=groups)
    parts = [
        set(groups[part].tolist()) for part in (split.train, split.val, split.test)
    ]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    graphs = {}
    for data in standard_functions[::5]:
        key = (data.x.numpy().tobytes(), data.edge_index.numpy().tobytes())
        assert graphs.setdefault(key, int(data.duplicate_group)) == data.duplicate_group
