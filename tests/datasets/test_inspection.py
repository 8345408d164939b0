import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Data

from pyg_diffpool.datasets.inspection import input_channels, read_classes, read_groups


def test_classes_in_every_accepted_shape():
    labels = [
        3,
        torch.tensor(1),
        torch.tensor([2]),
        torch.tensor([0], dtype=torch.int8),
    ]
    assert_close(read_classes([Data(y=y) for y in labels]), torch.tensor([3, 1, 2, 0]))


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, TypeError, "got NoneType in graph 1"),
        (torch.tensor([1.0]), TypeError, "got torch.float32 in graph 1"),
        (torch.tensor(True), TypeError, "got torch.bool in graph 1"),
        (0.5, TypeError, "got float in graph 1"),
        (torch.tensor([0, 1]), ValueError, r"got \[2\] in graph 1"),
        (torch.tensor([[0]]), ValueError, r"got \[1, 1\] in graph 1"),
        (torch.tensor([-100]), ValueError, "got -100 in graph 1"),
    ],
)
def test_other_labels_are_refused(y, error, message):
    with pytest.raises(error, match=message):
        read_classes([Data(y=torch.tensor([0])), Data(y=y)])


def test_groups_are_optional():
    assert read_groups([Data()]) is None
    graphs = [Data(duplicate_group=torch.tensor([group])) for group in (4, 4, 1)]
    assert_close(read_groups(graphs), torch.tensor([4, 4, 1]))


def test_width_or_cardinalities():
    assert input_channels([Data(x=torch.rand(3, 5))]) == 5
    empty = torch.empty(0, 2, dtype=torch.long)
    graphs = [
        Data(x=torch.tensor([[1, 7]])),
        Data(x=empty),
        Data(x=torch.tensor([[2, 0]])),
    ]
    assert input_channels(graphs) == [3, 8]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.tensor([1, 2]), r"expected 'x' of shape \[n, C\], got \[2\]"),
        (torch.tensor([[0, -1]]), "indices from 0, got -1 in column 1"),
    ],
)
def test_features_no_model_can_read(x, message):
    with pytest.raises(ValueError, match=message):
        input_channels([Data(x=x)])
