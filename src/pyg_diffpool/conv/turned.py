"""A graph whose edges run the other way."""

from torch import Tensor

from pyg_diffpool.graphs import Graph


class TurnedGraph(Graph):
    r"""A graph with :math:`A^\top` in place of :math:`A`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def neighbor_sum(self, x: Tensor, flow: str) -> Tensor:
        """By that of the graph, for the other flow."""
        return self.graph.neighbor_sum(x, _other(flow))

    def neighbor_mean(self, x: Tensor, flow: str) -> Tensor:
        """By that of the graph, for the other flow."""
        return self.graph.neighbor_mean(x, _other(flow))

    @property
    def has_loop(self) -> Tensor:
        """The same."""
        return self.graph.has_loop

    @property
    def edges(self) -> tuple[Tensor, Tensor | None]:
        """Each turned round, in the same order."""
        edge_index, weight = self.graph.edges
        return edge_index.flip(0), weight

    @property
    def edge_features(self) -> Tensor | None:
        """The same, in the same order."""
        return self.graph.edge_features

    def _degree(self, into: bool) -> Tensor:
        return self.graph.out_degree if into else self.graph.in_degree


def _other(flow: str) -> str:
    to_target = flow == "source_to_target"
    return "target_to_source" if to_target else "source_to_target"
