"""Calling a GNN, layer or model, on a graph of either form.

A model is run as it is, except that for the length of the call every
`MessagePassing` layer in it is stood in for by a `BoundLayer`, which knows the graph:
a view of the model is made whose containers are shallow copies and whose parameters,
norms and all else are the very same objects. Nothing of the user's model is changed.
"""

from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import MessagePassing, WLConv
from torch_geometric.nn.models.basic_gnn import BasicGNN

from pyg_diffpool.conv.bound import Binding, BoundLayer
from pyg_diffpool.conv.masks import masks_off
from pyg_diffpool.conv.signature import Signature, layers_of, signature_of
from pyg_diffpool.graphs import Graph, PaddedGraph

_TOKEN = object()


def call_gnn(module: Module, x: Tensor, graph: Graph) -> Tensor:
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


def _call(module: Module, x: Tensor, graph: Graph) -> Tensor:
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
        return _features(module, module(x, **_known(module, signature, given)), x)
    # Layers and PyG's models hand `edge_index` on untouched, so that a token will do
    # and a pooled graph's edges need not be listed.
    hands_on = type(module).forward is BasicGNN.forward
    if hands_on or isinstance(module, MessagePassing):
        edge_index, weights = _TOKEN, {}
    else:
        edge_index, weights = graph.edges[0], _weights(signature, graph, x)
    arguments = _known(module, signature, given | weights)
    own = tuple(weights.values())
    if own and graph.edges[1] is None and graph.edge_features is None:
        own = ()
    out = _run(module, Binding(graph, edge_index, own), x, arguments)
    return _features(module, out, x)


def _view_and_run(
    module: Module, binding: Binding, x: Tensor, arguments: dict[str, Any]
) -> Any:
    return _view(module, binding)(x, binding.edge_index, **arguments)


# `torch.compile` cannot trace the making of a view: GNNs run as without it.
_run = torch.compiler.disable(_view_and_run)


def _facts(signature: Signature, graph: Graph) -> dict[str, Any]:
    """The graph of each node and the number of graphs, where they are taken."""
    facts: dict[str, Any] = {}
    if "batch" in signature.names:
        facts["batch"] = graph.batch
    if "batch_size" in signature.names:
        facts["batch_size"] = graph.batch_size
    return facts


def _weights(signature: Signature, graph: Graph, x: Tensor) -> dict[str, Tensor]:
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


def _known(
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


def _features(module: Module, out: Any, x: Tensor) -> Tensor:
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


def _call_dense(module: Module, x: Tensor, graph: Graph) -> Tensor:
    if not isinstance(graph, PaddedGraph):
        raise ValueError(
            f"Expected padded input for {type(module).__name__}, which takes a dense "
            "'adj' (got an edge list). Use the sparse layer, or 'to_padded' first."
        )
    adj = graph.adj.transpose(1, 2)  # these layers receive along rows
    out: Tensor = graph.rows(module(graph.blocks(x), adj, graph.mask))
    return out


def _view(module: Module, binding: Binding) -> Any:
    """`module` with its layers bound to the graph and all else shared."""
    compiled = module._modules.get("_orig_mod")
    if compiled is not None:  # the result of `torch.compile` calls layers past a view
        view = _view(compiled, binding)
        return module if view is compiled else view
    if isinstance(module, MessagePassing):
        return BoundLayer(module, binding)
    children = {
        name: None if child is None else _view(child, binding)
        for name, child in module._modules.items()
    }
    if all(view is module._modules[name] for name, view in children.items()):
        return module
    # Not `copy.copy`: PyG's `Sequential` would write its forward anew each time.
    out = object.__new__(type(module))
    out.__dict__.update(module.__dict__)
    for name, value in module.__dict__.items():
        if isinstance(value, MethodType) and value.__self__ is module:
            out.__dict__[name] = MethodType(value.__func__, out)
    out.__dict__["_modules"] = children
    return out
