"""What layers ask of a mini-batch, whatever its form."""

from abc import ABC, abstractmethod

from torch import Tensor

from pyg_diffpool.ops.lazy import lazy


class Graph(ABC):
    r"""A mini-batch of R real nodes with adjacency :math:`A`, edges from i to j."""

    @abstractmethod
    def neighbor_sum(self, x: Tensor, flow: str) -> Tensor:
        r""":math:`A^\top X`, or :math:`A X` for flow `"target_to_source"`, `[R, C]`."""

    def neighbor_mean(self, x: Tensor, flow: str) -> Tensor:
        """The sum over the degree, or over 1 where that is less, `[R, C]`."""
        to_target = flow == "source_to_target"
        degree = self.in_degree if to_target else self.out_degree
        return self.neighbor_sum(x, flow) / degree.to(x.dtype).clamp(min=1)

    @property
    @abstractmethod
    def has_loop(self) -> Tensor:
        """Whether each node has an edge to itself, `[R]`."""

    @property
    @abstractmethod
    def edges(self) -> tuple[Tensor, Tensor | None]:
        """Edge list `[2, E]` and weights `[E]`; `None` where all are 1."""

    @property
    @abstractmethod
    def edge_features(self) -> Tensor | None:
        """Features of the edges in the order of `edges`, `[E, D]`, if there are any."""

    @lazy
    def in_degree(self) -> Tensor:
        """Sum of the weights of the edges into each node, `[R, 1]`."""
        return self._degree(into=True)

    @lazy
    def out_degree(self) -> Tensor:
        """Sum of the weights of the edges out of each node, `[R, 1]`."""
        return self._degree(into=False)

    @abstractmethod
    def _degree(self, into: bool) -> Tensor: ...
