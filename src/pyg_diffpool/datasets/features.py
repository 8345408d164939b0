"""Transforms that give graphs the node features that models read."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import degree, one_hot

CHUNK = 2**16  # nodes measured at once


class CappedDegree(BaseTransform):
    """Give nodes without features their degree, one-hot.

    Args:
        max_degree: Degrees from here on share the last column. (default: 64)

    Example:
        >>> star = Data(edge_index=torch.tensor([[0, 0, 0], [1, 2, 3]]), num_nodes=4)
        >>> CappedDegree(max_degree=2)(star).x.tolist()[0]
        [0.0, 0.0, 1.0]
    """

    def __init__(self, max_degree: int = 64) -> None:
        self.max_degree = max_degree

    def forward(self, data: Data) -> Data:
        """Set ``x`` to shape ``[n, max_degree + 1]``, float32."""
        degrees = degree(data.edge_index[0], data.num_nodes, dtype=torch.long)
        data.x = one_hot(degrees.clamp(max=self.max_degree), self.max_degree + 1)
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}(max_degree={self.max_degree})"


class DepthColumn(BaseTransform):
    """Append ``node_depth`` to an integer ``x``.

    With it a graph of :class:`~pyg_diffpool.datasets.PythonFunctions` has all three
    columns (type, attribute, depth) of which a model makes embeddings.
    """

    def forward(self, data: Data) -> Data:
        """Set ``x`` from shape ``[n, 2]`` to ``[n, 3]``."""
        data.x = torch.cat([data.x, data.node_depth], dim=1)
        return data


class Standardize(BaseTransform):
    """Shift and scale columns of ``x`` to mean 0 and standard deviation 1.

    Args:
        mean: What to subtract, shape ``[C]``.
        std: What to divide by, shape ``[C]``.
    """

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        self.mean = mean
        self.std = std

    @classmethod
    def fit(cls, graphs: Iterable[Data]) -> "Standardize":
        """Measure the columns of ``x`` over all nodes of ``graphs``.

        Columns of zeros and ones alone, such as one-hot labels, keep their values,
        and constant columns are shifted only.

        Args:
            graphs: Graphs with a float ``x`` of shape ``[n, C]``; at least one node.

        Returns:
            The transform, in the dtype of ``x``.

        Example:
            >>> graph = Data(x=torch.tensor([[0.0, 1.0], [4.0, 0.0]]))
            >>> Standardize.fit([graph])(graph).x.tolist()
            [[-1.0, 1.0], [1.0, 0.0]]
        """
        count, mean, square = 0, torch.tensor(0.0), torch.tensor(0.0)
        indicator, constant, first = torch.tensor(True), torch.tensor(True), None
        for x in _chunks(graphs):
            exact = x.double()
            shift, size = exact.mean(dim=0) - mean, x.size(0)
            square = square + exact.var(dim=0, correction=0) * size
            square = square + shift**2 * (count * size / (count + size))
            count += size
            mean = mean + shift * (size / count)
            first = x[:1] if first is None else first
            constant = constant & (x == first).all(dim=0)
            indicator = indicator & ((x == 0) | (x == 1)).all(dim=0)
        std = (square / count).sqrt()
        mean = mean.where(~indicator, 0)
        std = std.where(~indicator & ~constant, 1)
        return cls(mean.to(x.dtype), std.to(x.dtype))

    def forward(self, data: Data) -> Data:
        """Standardise ``x`` ``[n, C]``."""
        data.x = (data.x - self.mean) / self.std
        return data


def _chunks(graphs: Iterable[Data]) -> Iterator[Tensor]:
    """Features of many graphs at once, never of all: those on disk may not fit."""
    held: list[Tensor] = []
    num_nodes = 0
    for graph in graphs:
        held.append(graph.x)
        num_nodes += graph.x.size(0)
        if num_nodes >= CHUNK:
            yield torch.cat(held)
            held, num_nodes = [], 0
    if held:
        yield torch.cat(held)
