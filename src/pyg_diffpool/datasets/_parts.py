"""A part of a data set for a loader, in memory or on disk."""

from typing import Any

from torch import Tensor
from torch.utils.data import Subset
from torch_geometric.data import Dataset, OnDiskDataset


def part_of(dataset: Dataset, graphs: Tensor, num_workers: int) -> Any:
    """Return the given graphs as a data set; those on disk stay there.

    PyG's own selection does not reach the method by which a loader reads several
    graphs of an :class:`~torch_geometric.data.OnDiskDataset` at once, which then
    reads others than those selected.

    Args:
        dataset: All graphs.
        graphs: Their positions, int64, shape ``[B]``.
        num_workers: Processes that will read them. The database is closed for them:
            a connection must not be shared, and each opens its own.
    """
    if not isinstance(dataset, OnDiskDataset):
        return dataset[graphs]
    if num_workers > 0:
        dataset.close()
        dataset._db = None  # opened anew at the next look
    return Subset(dataset, graphs.tolist())
