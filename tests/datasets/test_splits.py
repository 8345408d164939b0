import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from pyg_diffpool.datasets import Split, fold_split, stratified_split

Y = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)


def parts_of(split):
    return split.train, split.val, split.test


@settings(max_examples=50)
@given(
    labels=st.lists(st.integers(0, 4), min_size=60, max_size=200),
    fractions=st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.6, 0.1, 0.3)]),
    seed=st.integers(0, 2**32),
)
def test_parts_partition_and_keep_the_shares_of_classes(labels, fractions, seed):
    y = torch.tensor(labels)
    split = stratified_split(y, fractions, seed)
    together = torch.cat(parts_of(split)).sort().values
    assert_close(together, torch.arange(y.numel()))
    for part, fraction in zip(parts_of(split), fractions, strict=True):
        assert_close(part, part.sort().values)
        expected = y.bincount(minlength=5) * fraction
        assert ((y[part].bincount(minlength=5) - expected).abs() <= 1).all()
        assert abs(part.numel() - fraction * y.numel()) <= 5


@settings(max_examples=50)
@given(
    groups=st.lists(st.integers(0, 30), min_size=80, max_size=150),
    seed=st.integers(0, 100),
    num_folds=st.integers(3, 5),
)
def test_groups_stay_together(groups, seed, num_folds):
    group = torch.tensor(groups)
    y = torch.arange(group.numel()) % 2
    assume(int(group.bincount().max()) < 15)
    for split in (
        stratified_split(y, (0.6, 0.2, 0.2), seed, group),
        fold_split(y, seed % num_folds, num_folds, seed, group),
    ):
        sets = [set(group[part].tolist()) for part in parts_of(split)]
        assert sum(map(len, sets)) == len(set.union(*sets))
        assert sum(split.sizes) == y.numel()


@pytest.mark.parametrize("num_folds", [3, 10])
def test_folds_partition_the_graphs(num_folds):
    splits = [fold_split(Y, k, num_folds, seed=1) for k in range(num_folds)]
    for part in ("val", "test"):
        together = torch.cat([getattr(split, part) for split in splits])
        assert_close(together.sort().values, torch.arange(100))
    for split in splits:
        assert sum(split.sizes) == 100
        counts = Y[split.test].bincount(minlength=3)
        assert ((counts - Y.bincount() / num_folds).abs() < 1).all()


def test_seeds_decide():
    first, same = stratified_split(Y, seed=1), stratified_split(Y, seed=1)
    other = stratified_split(Y, seed=2)
    for part, again in zip(parts_of(first), parts_of(same), strict=True):
        assert_close(part, again)
    assert first.test.tolist() != other.test.tolist()
    assert first.sizes == other.sizes == (80, 10, 10)


def test_labels_may_be_a_column_and_need_not_start_at_0():
    split = stratified_split(Y.view(-1, 1) - 7, seed=1)
    assert_close(split.test, stratified_split(Y, seed=1).test)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"y": Y.float()}, TypeError, "'y' must be an integer tensor, got torch.float"),
        ({"y": Y > 0}, TypeError, "'y' must be an integer tensor, got torch.bool"),
        ({"y": Y.view(50, 2)}, ValueError, r"'y' must have shape \[B\].*\[50, 2\]"),
        ({"y": Y[:0]}, ValueError, r"B > 0 graphs, got \[0\]"),
        ({"y": Y[0]}, ValueError, r"B > 0 graphs, got \[\]"),
        ({"fractions": (0.5, 0.5)}, ValueError, "three positive numbers"),
        ({"fractions": (0.5, 0.5, 0.5)}, ValueError, "with sum 1, got"),
        ({"fractions": (1.0, 0.0, 0.0)}, ValueError, "three positive numbers"),
        ({"groups": Y[:9]}, ValueError, "each of the 100 graphs, got 9"),
        ({"groups": Y.float()}, TypeError, "'groups' must be an integer tensor"),
        ({"groups": Y * 0}, ValueError, "none in 'val'"),
        ({"y": Y[:2]}, ValueError, r"none in 'val' \(sizes \(2, 0, 0\)\)"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        stratified_split(**{"y": Y, **arguments})


@pytest.mark.parametrize(
    ("fold", "num_folds", "message"),
    [
        (10, 10, "'fold' must be from 0 to 9 with 10 folds, got 10"),
        (-1, 10, "'fold' must be from 0 to 9"),
        (0, 2, "'num_folds' must be at least 3"),
        (150, 200, "fewer folds"),
    ],
)
def test_bad_folds(fold, num_folds, message):
    with pytest.raises(ValueError, match=message):
        fold_split(Y, fold, num_folds)


def test_a_split_is_checked():
    one, two = torch.tensor([0, 1]), torch.tensor([1, 2])
    with pytest.raises(ValueError, match="repeated, the first is graph 1"):
        Split(one, two, torch.tensor([3]))
    with pytest.raises(ValueError, match=r"none in 'test' \(sizes \(2, 2, 0\)\)"):
        Split(one, two, one[:0])


@pytest.mark.parametrize("seed", range(3))
def test_large_groups_do_not_spoil_the_sizes(seed):
    groups = torch.arange(100).clamp(min=50)
    split = stratified_split(Y * 0, (0.6, 0.2, 0.2), seed, groups)
    assert split.sizes == (60, 20, 20)
