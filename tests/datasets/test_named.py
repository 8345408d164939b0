import shutil
import sys

import pytest
import torch
from torch_geometric.datasets import TUDataset

from pyg_diffpool.datasets import PythonFunctions, TUFolder, load_dataset

USER_MODULE = """
import torch
from torch_geometric.data import Data, InMemoryDataset

class Rings(InMemoryDataset):
    def __init__(self, root=None, transform=None):
        self.given = root
        super().__init__(None, transform)
        ring = torch.tensor([[0, 1, 2], [1, 2, 0]])
        labels = torch.tensor([[0], [1]])
        graphs = [Data(edge_index=ring, num_nodes=3, y=label) for label in labels]
        self.data, self.slices = self.collate(graphs)

class Holder:
    @staticmethod
    def rings():
        return Rings("held")

class Needy(Rings):
    def __init__(self, root, size):
        super().__init__(root)

class Empty(Rings):
    def len(self):
        return 0

def number(root):
    return 3

constant = 3
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    (tmp_path / "user_rings.py").write_text(USER_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "user_rings"
    sys.modules.pop("user_rings", None)


def test_python_functions_come_with_three_columns(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "pyg_diffpool.datasets.python_functions.standard_library", lambda: sources
    )
    monkeypatch.setattr("pyg_diffpool.datasets.function_graphs.NUM_CLASSES", 2)
    dataset = load_dataset("PythonFunctions", str(tmp_path / "root"))
    assert isinstance(dataset, PythonFunctions)
    assert (tmp_path / "root" / "PythonFunctions" / "processed").is_dir()
    assert len(dataset) == 6
    assert dataset[0].x.shape == (dataset[0].num_nodes, 3)
    x = torch.cat([data.x for data in dataset])
    assert (x.amax(dim=0) < torch.tensor(dataset.feature_cardinalities)).all()


def test_a_folder_is_read_and_gets_degrees(tu_folder, tmp_path):
    before = sorted(tu_folder.parent.rglob("*"))
    dataset = load_dataset(str(tu_folder.parent), str(tmp_path / "root"))
    assert isinstance(dataset, TUFolder)
    assert sorted(tu_folder.parent.rglob("*")) == before
    assert dataset[0].x.shape == (3, 65)
    assert dataset[0].x.argmax(dim=1).tolist() == [2, 1, 1]


def test_a_plain_name_may_be_a_folder(tu_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tu_folder.parents[1])
    assert isinstance(load_dataset("TOY", str(tmp_path / "root")), TUFolder)


def test_tudataset_in_the_root_is_used(tu_folder, tmp_path):
    shutil.copytree(tu_folder, tmp_path / "root" / "TOY" / "raw")
    edges = tmp_path / "root" / "TOY" / "raw" / "TOY_A.txt"
    edges.write_text("1, 2\n4, 5\n6, 6\n")
    dataset = load_dataset("TOY", str(tmp_path / "root"))
    assert isinstance(dataset, TUDataset)
    assert dataset[0].x.shape[1] == 65


def test_an_unknown_name_says_what_to_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no such set")

    monkeypatch.setattr(TUDataset, "download", refuse)
    with pytest.raises(ValueError, match=r"got 'Enzymes'.*OSError: no such set.*spell"):
        load_dataset("Enzymes", str(tmp_path))


@pytest.mark.parametrize("path", [":Rings", ".Rings", ":Holder.rings"])
def test_a_class_of_the_user(user_module, tmp_path, path):
    dataset = load_dataset(user_module + path, str(tmp_path / "root"))
    assert len(dataset) == 2
    assert dataset[0].x.argmax(dim=1).tolist() == [1, 1, 1]
    root = str(tmp_path / "root" / "user_rings.Rings")
    assert dataset.given == ("held" if "Holder" in path else root)


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        (":Missing", ValueError, "has no attribute 'Missing'"),
        ("_not.module:Rings", ValueError, "No module named 'user_rings_not'"),
        (":", ValueError, "could not be imported"),
        (":constant", TypeError, "expected a class or function .* got int"),
        (":number", TypeError, r"expected a torch_geometric.data.Dataset .* got int"),
        (":Needy", TypeError, "need no argument but 'root', got .*'size'"),
        (":Empty", ValueError, "expected at least one graph"),
    ],
)
def test_bad_import_paths(user_module, tmp_path, path, error, message):
    with pytest.raises(error, match=message):
        load_dataset(user_module + path, str(tmp_path))


def test_a_missing_folder(tmp_path):
    with pytest.raises(ValueError, match="there is no such folder"):
        load_dataset(str(tmp_path / "nowhere"), str(tmp_path))
