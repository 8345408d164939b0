"""What a data set says about its graphs: classes, groups, width of the features."""

import torch
from torch import Tensor
from torch_geometric.data import Dataset


def read_classes(dataset: Dataset) -> Tensor:
    """Collect the class of every graph.

    Args:
        dataset: Graphs with an integer ``y`` of shape ``[1]`` or ``[]``.

    Returns:
        The classes, int64, shape ``[B]``.

    Raises:
        TypeError: If a ``y`` is missing or not an integer.
        ValueError: If a ``y`` holds more than one number or a negative one.
    """
    return torch.tensor([_read_class(data, i) for i, data in enumerate(dataset)])


def read_groups(dataset: Dataset) -> Tensor | None:
    """Collect ``duplicate_group`` of every graph, shape ``[B]``; None without it."""
    if "duplicate_group" not in dataset[0]:
        return None
    return torch.tensor([int(data.duplicate_group) for data in dataset])


def input_channels(dataset: Dataset) -> int | list[int]:
    """Say what a model must know about ``x``.

    Args:
        dataset: Graphs with ``x`` of shape ``[n, C]``. A property
            ``feature_cardinalities`` is believed.

    Returns:
        C for a float ``x``; for an integer one, the cardinality of every column.

    Raises:
        ValueError: If ``x`` is not two-dimensional or an integer one has negative
            entries.
    """
    x = dataset[0].x
    if x.dim() != 2:
        raise ValueError(
            f"expected 'x' of shape [n, C], got {list(x.shape)}; reshape it in a "
            f"transform, e.g. x.view(n, 1)"
        )
    if x.is_floating_point():
        return int(x.size(1))
    known = getattr(dataset, "feature_cardinalities", None)
    if known is not None:
        return list(known)
    low, high = x.amin(dim=0), x.amax(dim=0)
    for data in dataset:
        if data.x.numel() > 0:
            low, high = low.minimum(data.x.amin(0)), high.maximum(data.x.amax(0))
    if int(low.min()) < 0:
        raise ValueError(
            f"expected an integer 'x' to hold indices from 0, got {int(low.min())} in "
            f"column {int(low.argmin())}; shift it, or make 'x' float"
        )
    return [int(largest) + 1 for largest in high]


def _read_class(data: object, index: int) -> int:
    y = getattr(data, "y", None)
    value = torch.as_tensor(y) if isinstance(y, int | Tensor) else None
    if value is None or value.dtype.is_floating_point or value.dtype == torch.bool:
        got = value.dtype if value is not None else type(y).__name__
        raise TypeError(
            f"expected an integer class in 'y' of every graph, got {got} in graph "
            f"{index}; number the classes 0, 1, 2, ... (regression is not supported)"
        )
    if value.numel() != 1 or value.dim() > 1:
        raise ValueError(
            f"expected 'y' of shape [1] or [], one class a graph, got "
            f"{list(value.shape)} in graph {index}"
        )
    if int(value) < 0:
        raise ValueError(
            f"expected classes from 0, got {int(value)} in graph {index}; leave out "
            f"graphs without a class"
        )
    return int(value)
