"""Which graphs train, validate and test: seeded, stratified, or read from a file."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_diffpool.datasets._stratify import assign_parts

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Positions of the graphs of each part, int64, in rising order.

    Attributes:
        train: Graphs that fit the weights.
        val: Graphs that choose among epochs and settings.
        test: Graphs that are looked at once.

    Raises:
        ValueError: If a part is empty, or a graph is in two parts or twice in one.
    """

    train: Tensor
    val: Tensor
    test: Tensor

    def __post_init__(self) -> None:
        for name in PARTS:
            if getattr(self, name).numel() == 0:
                raise ValueError(
                    f"expected graphs in every part of the split, got none in "
                    f"{name!r} (sizes {self.sizes}); give more graphs, larger "
                    f"fractions, or fewer folds"
                )
        values, counts = torch.cat([self.train, self.val, self.test]).unique(
            return_counts=True
        )
        if int(counts.max()) > 1:
            repeated = values[counts > 1]
            raise ValueError(
                f"expected every graph at most once in a split, got "
                f"{repeated.numel()} of them repeated, the first is graph "
                f"{int(repeated[0])}; remove it from all parts but one"
            )

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of graphs for training, validation and test."""
        return self.train.numel(), self.val.numel(), self.test.numel()


def stratified_split(
    y: Tensor,  # [B]
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    groups: Tensor | None = None,  # [B]
) -> Split:
    """Split graphs at random so that every class has its share in every part.

    Args:
        y: Class of every graph, integer, shape ``[B]``.
        fractions: Shares of training, validation and test. (default: 0.8, 0.1, 0.1)
        seed: Another seed gives another split, the same seed the same one.
            (default: 0)
        groups: Group of every graph, integer, shape ``[B]``. Graphs of one group
            are never in different parts. (default: every graph is its own group)

    Returns:
        The split. Every graph is in exactly one part.

    Raises:
        TypeError: If ``y`` or ``groups`` is not an integer tensor.
        ValueError: If shapes differ, ``fractions`` are not three positive numbers
            with sum 1, or a part would be empty.

    Example:
        >>> split = stratified_split(torch.arange(100) % 2)
        >>> split.sizes
        (80, 10, 10)
    """
    shares = [float(fraction) for fraction in fractions]
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"'fractions' must be three positive numbers (train, val, test) with sum "
            f"1, got {tuple(fractions)}"
        )
    part = assign_parts(y, shares, seed, groups)
    train, val, test = (_where(part == index) for index in range(3))
    return Split(train, val, test)


def fold_split(
    y: Tensor,  # [B]
    fold: int,
    num_folds: int = 10,
    seed: int = 0,
    groups: Tensor | None = None,  # [B]
) -> Split:
    """Split graphs for one round of stratified cross-validation.

    Fold ``fold`` is the test part, the next one (the first after the last) is the
    validation part, all others train: the test parts of all rounds partition the
    graphs, and so do the validation parts.

    Args:
        y: Class of every graph, integer, shape ``[B]``.
        fold: Round, from 0 to ``num_folds - 1``.
        num_folds: Number of rounds, at least 3. (default: 10)
        seed: Seed of the folds; keep it the same for all rounds. (default: 0)
        groups: As in :func:`stratified_split`. (default: None)

    Returns:
        The split. Every graph is in exactly one part.

    Raises:
        TypeError: If ``y`` or ``groups`` is not an integer tensor.
        ValueError: If shapes differ, ``num_folds`` is below 3, ``fold`` is out of
            range, or a part would be empty.

    Example:
        >>> split = fold_split(torch.arange(100) % 2, fold=9)
        >>> split.sizes
        (80, 10, 10)
    """
    if num_folds < 3:
        raise ValueError(
            f"'num_folds' must be at least 3 (train, val, test), got {num_folds}"
        )
    if not 0 <= fold < num_folds:
        raise ValueError(
            f"'fold' must be from 0 to {num_folds - 1} with {num_folds} folds, "
            f"got {fold}"
        )
    part = assign_parts(y, [1 / num_folds] * num_folds, seed, groups)
    val = (fold + 1) % num_folds
    rest = (part != fold) & (part != val)
    return Split(_where(rest), _where(part == val), _where(part == fold))


def _where(chosen: Tensor) -> Tensor:
    return chosen.nonzero().view(-1)
