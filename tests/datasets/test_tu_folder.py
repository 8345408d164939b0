import pytest
import torch
from torch.testing import assert_close
from torch_geometric.datasets import TUDataset

from pyg_diffpool.datasets import TUFolder
from pyg_diffpool.datasets import tu_folder as implementation


@pytest.mark.data
@pytest.mark.parametrize("name", ["ENZYMES", "MUTAG", "IMDB-BINARY"])
def test_graphs_are_those_of_tudataset(unpack, tmp_path, name):
    folder = unpack(name)
    before = sorted(folder.rglob("*"))
    dataset = TUFolder(folder, tmp_path / "cache")
    assert sorted(folder.rglob("*")) == before
    (tmp_path / name).symlink_to(folder)
    (tmp_path / "link" / name).mkdir(parents=True)
    (tmp_path / "link" / name / "raw").symlink_to(folder / "raw")
    options = {"use_node_attr": True, "use_edge_attr": True}
    expected = TUDataset(str(tmp_path / "link"), name, **options)
    assert len(dataset) == len(expected)
    assert dataset.num_classes == expected.num_classes
    for data, other in zip(dataset, expected, strict=True):
        assert data.num_nodes == other.num_nodes
        assert_close(data.edge_index, other.edge_index)
        assert_close(data.y, other.y)
        for key in ("x", "edge_attr"):
            assert (key in data) == (key in other)
            if key in data:
                assert_close(data[key], other[key])


def test_toy_set_without_features_and_last_line_break(tu_folder, tmp_path):
    dataset = TUFolder(tu_folder.parent, tmp_path / "cache")
    assert [data.num_nodes for data in dataset] == [3, 2, 1]
    assert [int(data.y) for data in dataset] == [0, 1, 0]
    assert dataset.class_names == ["-1", "1"]
    assert dataset[0].edge_index.tolist() == [[0, 0, 1, 2], [1, 2, 0, 0]]
    assert dataset[1].edge_index.tolist() == [[0, 1], [1, 0]]
    assert dataset[2].edge_index.shape == (2, 0)
    assert "x" not in dataset[0]
    assert repr(dataset) == "TOY(3)"


def test_attributes_come_before_labels(tu_folder, tmp_path):
    (tu_folder / "TOY_node_labels.txt").write_text("5\n7\n5\n5\n5\n5\n")
    (tu_folder / "TOY_node_attributes.txt").write_text("1e1, .5\n" * 6)
    dataset = TUFolder(tu_folder, tmp_path / "cache")
    assert dataset[0].x.tolist() == [
        [10, 0.5, 1, 0, 0],
        [10, 0.5, 0, 0, 1],
        [10, 0.5, 1, 0, 0],
    ]
    assert dataset[0].x.dtype == torch.float32


def test_features_stay_with_their_edges(tu_folder, tmp_path):
    (tu_folder / "TOY_A.txt").write_text("2, 1\n1, 2\n3, 3\n4, 5\n5, 4\n1, 2\n")
    (tu_folder / "TOY_edge_labels.txt").write_text("3\n4\n3\n3\n4\n3\n")
    (tu_folder / "TOY_edge_attributes.txt").write_text("1.\n2.\n3.\n4.\n5.\n6.\n")
    dataset = TUFolder(tu_folder, tmp_path / "cache")
    assert dataset[0].edge_index.tolist() == [[0, 1], [1, 0]]
    assert dataset[0].edge_attr.tolist() == [[8, 1, 1], [1, 1, 0]]
    assert dataset[1].edge_attr.tolist() == [[4, 1, 0], [5, 0, 1]]
    assert dataset[2].edge_attr.shape == (0, 3)


def test_cache_is_reused_until_a_file_changes(tu_folder, tmp_path, monkeypatch):
    root = tmp_path / "cache"
    TUFolder(tu_folder, root)
    with monkeypatch.context() as patch:
        patch.delattr(implementation, "read_tu_files")
        assert len(TUFolder(tu_folder, root)) == 3
    (tu_folder / "TOY_graph_labels.txt").write_text("1\n2\n3\n")
    assert TUFolder(tu_folder, root).num_classes == 3


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("A", "1, 2\n2, x\n", "expected integers separated by commas .*' x'.* row"),
        ("A", "1, 2\n2\n", "expected integers"),
        ("A", "1, 2.5\n", "expected integers"),
        ("A", "1, 2, 3\n", "expected 2 columns in .*, got 3"),
        ("A", "1, 2\n0, 1\n", r"from 1 to 6 .*got \[0, 1\] in line 2"),
        ("A", "1, 2\n6, 7\n", r"from 1 to 6 .*got \[6, 7\] in line 2"),
        ("A", "1, 2\n3, 4\n", r"got \[3, 4\] in line 2, from graph 1 to graph 2"),
        ("graph_indicator", "1\n1\n1\n2\n", r"from 1 to 4 .*got \[4, 5\] in line 6"),
        ("graph_indicator", "1\n1\n1\n2\n2\n4\n", "from 1 to 3 .*got 1 to 4"),
        ("graph_indicator", "0\n1\n1\n2\n2\n3\n", "from 1 to 3 .*got 0 to 3"),
        ("graph_indicator", "1\n1\n2\n1\n2\n3\n", "got graph 1 after 2 in line 4"),
        ("graph_indicator", "", "at least one line"),
        ("graph_labels", "a\nb\nc\n", "expected integers"),
        ("graph_labels", "1\n2\n", "from 1 to 2 .*got 1 to 3"),
        ("node_labels", "1\n1\n", "expected 6 lines .*got 2"),
        ("node_attributes", "1.0\n" * 7, "expected 6 lines .*got 7"),
        ("node_attributes", "1.0\nnone\n", "expected numbers"),
        ("edge_labels", "", "expected 8 lines .*got 0"),
        ("edge_labels", "1\n", "expected 8 lines .*one for each edge of TOY_A.txt"),
        ("edge_attributes", "inf\n" * 8, "expected finite numbers"),
    ],
)
def test_malformed_files(tu_folder, tmp_path, kind, text, message):
    (tu_folder / f"TOY_{kind}.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        TUFolder(tu_folder, tmp_path / "cache")


def test_graphs_without_nodes_or_any_edges(tu_folder, tmp_path):
    (tu_folder / "TOY_A.txt").write_text("")
    (tu_folder / "TOY_graph_labels.txt").write_text("0\n0\n0\n1\n")
    dataset = TUFolder(tu_folder, tmp_path / "cache")
    assert [data.num_nodes for data in dataset] == [3, 2, 1, 0]
    assert all(data.num_edges == 0 for data in dataset)
    (tu_folder / "TOY_edge_labels.txt").touch()
    assert "edge_attr" not in TUFolder(tu_folder, tmp_path / "cache")[0]
    (tu_folder / "TOY_edge_labels.txt").write_text("1\n")
    with pytest.raises(ValueError, match=r"expected 0 lines .*got 1"):
        TUFolder(tu_folder, tmp_path / "cache")


def test_missing_files(tu_folder, tmp_path):
    with pytest.raises(ValueError, match="there is no such folder"):
        TUFolder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="it has neither"):
        TUFolder(tmp_path / "empty")
    (tu_folder / "B_A.txt").touch()
    with pytest.raises(ValueError, match=r"expected one data set .*\['B', 'TOY'\]"):
        TUFolder(tu_folder)
    (tu_folder / "B_A.txt").unlink()
    (tu_folder / "TOY_graph_labels.txt").unlink()
    with pytest.raises(ValueError, match=r"expected TOY_graph_labels.txt beside"):
        TUFolder(tu_folder)
