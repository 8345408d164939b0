"""Calling a GNN, layer or model, on a graph of either form.

A model is run as it is, except that for the length of the call every
`MessagePassing` layer in it is stood in for by a `_Bound` one, which knows the graph:
a view of the model is made whose containers are shallow copies and whose parameters,
norms and all else are the very same objects. Nothing of the user's model is changed.
"""

import copy
import inspect
from typing import Any

from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.models.basic_gnn import BasicGNN

from pyg_diffpool.conv.rules import find_rule
from pyg_diffpool.graphs import Graph, PaddedGraph


def call_gnn(module: Module, x: Tensor, graph: Graph) -> Tensor:
    """Run `module` over the nodes of `graph`.

    Args:
        module: A `MessagePassing` layer, a model of such layers called as
            `module(x, edge_index, ...)`, one of PyG's dense layers called as
            `module(x, adj, mask)`, or a module of `x` alone.
        x: Node features, `[R, C]`, one row for each real node.
        graph: The graph.

    Returns:
        Node features, `[R, C']`.

    Raises:
        ValueError: If a layer cannot use the edge weights that the graph has, or if
            a dense layer meets a sparse graph.
    """
    names = _parameters(module)
    if "adj" in names:
        return _call_dense(module, x, graph)
    if "edge_index" not in names:
        own: Tensor = module(x, graph.batch) if "batch" in names else module(x)
        return own
    # Layers and PyG's models hand `edge_index` on untouched, so that a token will do
    # and a pooled graph's edges need not be listed.
    hands_on = isinstance(module, MessagePassing | BasicGNN)
    edge_index: Any = object() if hands_on else graph.edges[0]
    offered = {
        "edge_weight": None if hands_on else graph.edges[1],
        "batch": graph.batch if "batch" in names else None,
        "batch_size": graph.batch_size,
    }
    arguments = {k: v for k, v in offered.items() if k in names and v is not None}
    out: Tensor = _view(module, graph, edge_index)(x, edge_index, **arguments)
    return out


def _parameters(module: Module) -> list[str]:
    """The names of what the module takes, PyG's `Sequential` included."""
    declared = getattr(getattr(module, "signature", None), "param_dict", None)
    if declared is not None:
        return list(declared)
    return list(inspect.signature(module.forward).parameters)


def _call_dense(module: Module, x: Tensor, graph: Graph) -> Tensor:
    if not isinstance(graph, PaddedGraph):
        raise ValueError(
            f"Expected padded input for {type(module).__name__}, which takes a dense "
            "'adj' (got an edge list). Use the sparse layer, or 'to_padded' first."
        )
    adj = graph.adj.transpose(1, 2)  # these layers receive along rows
    out: Tensor = graph.rows(module(graph.blocks(x), adj, graph.mask))
    return out


def _view(module: Module, graph: Graph, edge_index: Any) -> Any:
    """`module` with its layers bound to the graph and all else shared."""
    if isinstance(module, MessagePassing):
        return _Bound(module, graph, edge_index)
    if not any(isinstance(m, MessagePassing) for m in module.modules()):
        return module
    out = copy.copy(module)
    children = module._modules.items()
    bound = {n: m and _view(m, graph, edge_index) for n, m in children}
    out.__dict__["_modules"] = bound
    return out


class _Bound:
    """A layer bound to a graph.

    Called with the `edge_index` it is bound to, it computes on the graph; called with
    any other, which the model has made itself, it is the layer.
    """

    def __init__(self, conv: MessagePassing, graph: Graph, edge_index: Any) -> None:
        self.conv, self.graph, self.edge_index = conv, graph, edge_index

    def __getattr__(self, name: str) -> Any:
        return getattr(self.conv, name)

    def __call__(self, x: Any, edge_index: Any, *args: Any, **kwargs: Any) -> Any:
        if edge_index is not self.edge_index or not isinstance(x, Tensor):
            return self.conv(x, edge_index, *args, **kwargs)
        rule = find_rule(self.conv, self.graph)
        if rule is not None:
            return rule(self.conv, x, self.graph)
        edges, weight = self.graph.edges
        return self.conv(x, edges, **self._weights(weight, kwargs))

    def _weights(self, weight: Tensor | None, given: dict[str, Any]) -> dict[str, Any]:
        """The layer's keyword arguments, with the weights where it takes them."""
        given = {k: v for k, v in given.items() if v is not None and k != "edge_weight"}
        if weight is None:
            return given
        names = _parameters(self.conv)
        if "edge_weight" in names:
            return {**given, "edge_weight": weight}
        if "edge_attr" in names and _edge_dim(self.conv) == 1:
            return {**given, "edge_attr": weight.unsqueeze(-1)}
        raise ValueError(
            "Expected a layer that uses edge weights, which this graph has as all "
            f"pooled graphs do (got {self.conv}). Take GCNConv, GraphConv, GINConv or "
            "SAGEConv with mean or sum aggregation, or a layer with 'edge_dim=1', "
            "which receives the weights as 'edge_attr'."
        )


def _edge_dim(conv: MessagePassing) -> int | None:
    for name in ("edge_dim", "dim"):
        value = getattr(conv, name, None)
        if isinstance(value, int):
            return value
    return None
