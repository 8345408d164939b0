"""Calling a GNN, layer or model, on a graph of either form."""

from typing import Any

from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import WLConv

from pyg_diffpool.conv.bound import Binding
from pyg_diffpool.conv.masks import masks_off
from pyg_diffpool.conv.signature import (
    Signature,
    hands_edges_on,
    layers_of,
    signature_of,
)
from pyg_diffpool.conv.view import run_view
from pyg_diffpool.graphs import MiniBatch, PaddedGraph

_TOKEN = object()


def call_gnn(module: Module, x: Tensor, graph: MiniBatch) -> Tensor:
    """Run `module` over the nodes of `graph`.

    Args:
        module: A `MessagePassing` layer, a model of such layers called as
            `module(x, edge_index, ...)`, one of PyG's dense layers called as
            `module(x, adj, mask)`, or a module of `x` alone. Of `edge_weight`,
            `edge_attr`, `batch` and `batch_size` it is given what it takes.
        x: Node features, `[R, C]`, one row for each real node.
        graph: The graph.

    Returns:
        Node features, `[R, C']`.

    Raises:
        TypeError: If the module needs what a graph does not have, or gives anything
            but node features.
        ValueError: If a layer cannot use the edge weights that the graph has, or is
            built for other edge features, or if a dense layer meets a sparse graph.
    """
    if isinstance(graph, PaddedGraph):
        with masks_off(module):
            return _call(module, x, graph)
    return _call(module, x, graph)


def _call(module: Module, x: Tensor, graph: MiniBatch) -> Tensor:
    signature = signature_of(module)
    if "adj" in signature.names:
        return _call_dense(module, x, graph)
    if isinstance(module, WLConv):
        raise TypeError(
            "Expected a GNN of floating-point features (got WLConv, which colours "
            "nodes by integers). Take WLConvContinuous."
        )
    given = _facts(signature, graph)
    takes_edges = "edge_index" in signature.names
    if not takes_edges and not (signature.takes_any and any(layers_of(module))):
        return _checked_features(
            module, module(x, **_checked_arguments(module, signature, given)), x
        )
    if hands_edges_on(module):  # a token will do, a pooled graph's need not be listed
        edge_index, weights = _TOKEN, {}
    else:
        edge_index, weights = graph.edges[0], _weights(signature, graph, x)
    arguments = _checked_arguments(module, signature, given | weights)
    own = tuple(weights.values())
    if own and graph.edges[1] is None and graph.edge_features is None:
        own = ()
    out = run_view(module, Binding(graph, edge_index, own), x, arguments)
    return _checked_features(module, out, x)


def _facts(signature: Signature, graph: MiniBatch) -> dict[str, Any]:
    """The graph of each node and the number of graphs, where they are taken."""
    facts: dict[str, Any] = {}
    if "batch" in signature.names:
        facts["batch"] = graph.batch
    if "batch_size" in signature.names:
        facts["batch_size"] = graph.batch_size
    return facts


def _weights(signature: Signature, graph: MiniBatch, x: Tensor) -> dict[str, Tensor]:
    """The edge weights, where they are taken; ones where they must not be missing.

    Under the name of edge features they stand in for these where there are none.
    """
    edge_index, weight = graph.edges
    out: dict[str, Tensor] = {}
    for name in ("edge_weight", "edge_attr"):
        value = weight
        if value is None and name in signature.required:
            value = x.new_ones(edge_index.size(1))
        if value is not None and name in signature.names:
            out[name] = value.unsqueeze(-1) if name == "edge_attr" else value
    if graph.edge_features is not None and "edge_attr" in signature.names:
        out["edge_attr"] = graph.edge_features
    return out


def _checked_arguments(
    module: Module, signature: Signature, given: dict[str, Any]
) -> dict[str, Any]:
    """`given`, once it is seen to be all that the module needs."""
    missing = signature.required - given.keys() - {"edge_index"}
    if missing:
        listed = ", ".join(f"'{name}'" for name in signature.names if name in missing)
        raise TypeError(
            "Expected a GNN that can be called as 'gnn(x, edge_index)' (got "
            f"{type(module).__name__}, which also needs {listed}). Put it into a "
            "module of your own, or a torch_geometric.nn.Sequential, that supplies "
            'the rest, e.g. Sequential("x, edge_index", [(GCN2Conv(64, 0.5), '
            '"x, x, edge_index -> x")]).'
        )
    return given


def _checked_features(module: Module, out: Any, x: Tensor) -> Tensor:
    """`out`, once it is seen to be node features."""
    if not isinstance(out, Tensor):
        got = type(out).__name__
    elif not out.is_floating_point() or out.dim() != 2 or out.size(0) != x.size(0):
        got = f"{out.dtype} of shape {list(out.shape)}"
    else:
        return out
    raise TypeError(
        f"Expected floating-point node features [{x.size(0)}, C] from the GNN (got "
        f"{got} from {type(module).__name__}). Put it into a module that returns them."
    )


def _call_dense(module: Module, x: Tensor, graph: MiniBatch) -> Tensor:
    if not isinstance(graph, PaddedGraph):
        raise ValueError(
            f"Expected padded input for {type(module).__name__}, which takes a dense "
            "'adj' (got an edge list). Use the sparse layer, or 'to_padded' first."
        )
    adj = graph.adj.transpose(1, 2)  # these layers receive along rows
    out: Tensor = graph.rows(module(graph.blocks(x), adj, graph.mask))
    return out
