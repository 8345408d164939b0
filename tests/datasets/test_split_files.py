import json

import pytest
import torch

from pyg_diffpool.datasets import split_from_file

SPLIT = {"train": [0, 3], "val": [2], "test": [1]}
LONG = {"train": [3, 0], "validation": [2], "test": [1]}
ERRICA = {"test": [1], "model_selection": [{"train": [0, 3], "validation": [2]}]}


@pytest.mark.parametrize(
    ("content", "fold"),
    [(SPLIT, 0), (LONG, 0), ([LONG, SPLIT], 1), ([ERRICA], 0), ([{}, {}, ERRICA], 2)],
)
def test_every_layout_gives_the_same_split(write_json, content, fold):
    split = split_from_file(write_json(content), num_graphs=4, fold=fold)
    found = [part.tolist() for part in (split.train, split.val, split.test)]
    assert found == [[0, 3], [2], [1]]
    assert split.train.dtype == torch.int64


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("{", ValueError, "expected JSON"),
        ("3", ValueError, "to be an object, got int"),
        ([], ValueError, "holds 0, got 0"),
        ([[0, 1]], ValueError, "to be an object, got list"),
        ({"train": [0], "test": [1]}, ValueError, "expected a list 'val'"),
        (SPLIT | {"test": 1}, ValueError, "expected a list 'test'"),
        (SPLIT | {"test": [1.0]}, TypeError, "expected integers in 'test'.*1.0"),
        (SPLIT | {"test": [True]}, TypeError, "expected integers in 'test'.*True"),
        (SPLIT | {"test": ["1"]}, TypeError, "expected integers in 'test'"),
        (SPLIT | {"test": [4]}, ValueError, "from 0 to 3 in 'test'.*got 4"),
        (SPLIT | {"test": [-1]}, ValueError, "from 0 to 3 in 'test'.*got -1"),
        (SPLIT | {"test": []}, ValueError, "fold 0: .*none in 'test'"),
        (SPLIT | {"test": [0]}, ValueError, "the first is graph 0"),
        (SPLIT | {"test": [1, 1]}, ValueError, "the first is graph 1"),
        ({"test": [1], "model_selection": []}, ValueError, "expected a list 'train'"),
    ],
)
def test_bad_files(write_json, content, error, message):
    with pytest.raises(error, match=message):
        split_from_file(write_json(content), num_graphs=4)


def test_missing_file_and_fold(tmp_path, write_json):
    with pytest.raises(ValueError, match="could not read it"):
        split_from_file(tmp_path / "nowhere.json", num_graphs=4)
    with pytest.raises(ValueError, match=r"'fold' must be from 0 to 1.*got 2"):
        split_from_file(write_json([SPLIT, SPLIT]), num_graphs=4, fold=2)


@pytest.mark.data
def test_published_folds_of_enzymes(unpack):
    path = unpack("splits") / "ENZYMES_splits.json"
    splits = [split_from_file(path, num_graphs=600, fold=k) for k in range(10)]
    tested = torch.cat([split.test for split in splits])
    assert sorted(tested.tolist()) == list(range(600))
    assert all(sum(split.sizes) == 600 for split in splits)
    entry = json.loads(path.read_text())[3]["model_selection"][0]
    assert splits[3].val.tolist() == sorted(entry["validation"])
