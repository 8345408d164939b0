"""Sharing graphs among parts, class by class and group by group."""

from collections.abc import Sequence

import torch
from torch import Tensor

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def assign_parts(
    y: Tensor,  # [B]
    shares: Sequence[float],
    seed: int,
    groups: Tensor | None,  # [B]
) -> Tensor:
    """Give every graph a part, group by group, large groups first.

    A group goes where its most frequent class lacks most graphs, then where graphs
    lack most. Within a size, groups come in random order.

    Args:
        y: Class of every graph, shape ``[B]``.
        shares: Share of each part, with sum 1.
        seed: Seed of the order.
        groups: Group of every graph, shape ``[B]``, or None.

    Returns:
        The part of every graph, int64, shape ``[B]``.

    Raises:
        TypeError: If ``y`` or ``groups`` is not an integer tensor.
        ValueError: If a shape is wrong.
    """
    units = _units(_checked_labels("y", y), groups)
    generator = torch.Generator().manual_seed(seed)
    shuffled = [units[i] for i in torch.randperm(len(units), generator=generator)]
    shuffled.sort(key=len, reverse=True)
    _, labels = y.reshape(-1).unique(return_inverse=True)
    counts = labels.bincount().tolist()
    lacking = [[share * count for share in shares] for count in counts]
    lacking_in_all = [share * labels.numel() for share in shares]
    part = torch.empty_like(labels)
    for unit in shuffled:
        members = labels[unit]
        main = int(members.mode().values)
        chosen = max(
            range(len(shares)),
            key=lambda p: (round(lacking[main][p], 6), lacking_in_all[p]),
        )
        part[unit] = chosen
        lacking_in_all[chosen] -= len(unit)
        for label in members.tolist():
            lacking[label][chosen] -= 1
    return part


def _units(y: Tensor, groups: Tensor | None) -> list[list[int]]:
    """List the members of every group."""
    if groups is None:
        return [[index] for index in range(y.numel())]
    groups = _checked_labels("groups", groups)
    if groups.numel() != y.numel():
        raise ValueError(
            f"'groups' must have one entry for each of the {y.numel()} graphs, got "
            f"{groups.numel()}"
        )
    members: dict[int, list[int]] = {}
    for index, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(index)
    return list(members.values())


def _checked_labels(name: str, values: Tensor) -> Tensor:
    if values.dtype not in _INTEGERS:
        raise TypeError(
            f"{name!r} must be an integer tensor, got {values.dtype}; convert classes "
            f"to 0, 1, 2, ... first"
        )
    if values.dim() not in (1, 2) or not 0 < values.numel() == values.size(0):
        raise ValueError(
            f"{name!r} must have shape [B] for B > 0 graphs, got {list(values.shape)}"
        )
    return values.reshape(-1)
