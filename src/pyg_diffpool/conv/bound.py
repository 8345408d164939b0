"""A layer bound to a graph, in the place of the layer within a model."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.nn import MessagePassing

from pyg_diffpool.conv.features import feature_argument, takes_features
from pyg_diffpool.conv.masks import masked_messages
from pyg_diffpool.conv.rules import Rule, find_rule, has_call_hooks
from pyg_diffpool.conv.signature import signature_of
from pyg_diffpool.conv.turned import TurnedGraph
from pyg_diffpool.conv.weights import edge_arguments
from pyg_diffpool.graphs import FlatGraph, Graph, MiniBatch

_WEIGHTS = ("edge_weight", "edge_attr")


class Binding(NamedTuple):
    """What all layers of a model share for the length of one call."""

    graph: MiniBatch
    edge_index: Any  # what the model was called with: the edges, or a token for them
    weights: tuple[Tensor, ...]  # or features: the graph's own that it was called with


class BoundLayer:
    """A layer bound to a graph.

    Called with the `edge_index` it is bound to, or with that turned round, it computes
    on the graph with its weights and edge features; called with any other, or with
    weights or features that the model has made itself, it is the layer.
    """

    def __init__(self, conv: MessagePassing, binding: Binding) -> None:
        self.conv, self.binding = conv, binding

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """That of the layer, for models that ask `isinstance(m, MessagePassing)`."""
        return type(self.conv)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.conv, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's forward."""
        names = signature_of(self.conv).names
        given = dict(zip(names, args, strict=False)) | kwargs
        graph = self._graph(given.get("edge_index"))
        if graph is None or self._is_weighed(given):
            self._check_weights_used(names)
            return self.conv(*args, **kwargs)
        given = {
            name: value
            for name, value in given.items()
            if value is not None and name not in _WEIGHTS
        }
        rule = find_rule(self.conv, graph)
        plain = given.keys() == {names[0], "edge_index"}
        if rule is not None and plain and isinstance(given[names[0]], Tensor):
            return self._follow(rule, given[names[0]], graph)
        given["edge_index"], weight = graph.edges
        features = graph.edge_features
        if features is not None and takes_features(self.conv):
            given["edge_attr"] = feature_argument(self.conv, features, weight)
        given |= edge_arguments(self.conv, given["edge_index"], weight, given)
        leading = names[: names.index("edge_index") + 1]
        return self.conv(*[given.pop(name) for name in leading], **given)

    forward = __call__

    def propagate(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's, where no weights of the graph can be lost."""
        self._check_weights_used(("edge_index",))
        return self.conv.propagate(*args, **kwargs)

    def _follow(self, rule: Rule, x: Tensor, graph: Graph) -> Any:
        """The rule in the place of the layer's forward, so that hooks are called."""
        if not has_call_hooks(self.conv):
            return rule(self.conv, x, graph)
        self.conv.forward = lambda x, _: rule(self.conv, x, graph)
        try:
            return self.conv(x, graph.edges[0])
        finally:
            del self.conv.forward

    def _graph(self, edge_index: Any) -> Graph | None:
        """The graph that the edges stand for, or `None` for those of the model."""
        graph, own, _ = self.binding
        if isinstance(graph, FlatGraph):
            graph = masked_messages(graph, self.conv)
        if edge_index is own:
            return graph
        if not isinstance(own, Tensor) or not isinstance(edge_index, Tensor):
            return None
        bare = graph.edges[1] is None and graph.edge_features is None
        if bare or edge_index.shape != own.shape:
            return None
        if torch.equal(edge_index, own):
            return graph
        return TurnedGraph(graph) if torch.equal(edge_index, own.flip(0)) else None

    def _is_weighed(self, given: dict[str, Any]) -> bool:
        """Whether the model gives the layer weights other than the graph's."""
        values = [given.get(name) for name in _WEIGHTS]
        own = self.binding.weights
        return any(v is not None and all(v is not w for w in own) for v in values)

    def _check_weights_used(self, names: tuple[str, ...]) -> None:
        """A model that takes the graph's weights answers for them, no other can."""
        graph, _, weights = self.binding
        takes_edges = any("edge_index" in name for name in names)
        if takes_edges and not weights and graph.edges[1] is not None:
            raise ValueError(
                f"Expected {self.conv} to be called with the 'edge_index' that the "
                "model was given (got other edges, edge features of the model's own, "
                "or a call of 'propagate'): the graph's edge weights would be lost. "
                "Give the model's forward an 'edge_weight' argument, and use it."
            )
