"""Calling a GNN, layer or model, on a graph of either form."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import BatchNorm1d, Module, MultiheadAttention
from torch_geometric import nn as pyg
from torch_geometric.nn.models.basic_gnn import BasicGNN

from pyg_diffpool._minibatch import MiniBatch, PaddedGraph
from pyg_diffpool._modes import may_read_values
from pyg_diffpool.conv import layers
from pyg_diffpool.conv.rules import batch_norm, find_rule, has_hooks

_TOKEN = "the edges of the graph"
# Where modules are defined that work on each row by itself.
_OF_TORCH = ("activation", "container", "dropout", "linear", "normalization")
_OF_PYG = ("nn.dense.linear", "nn.models.jumping_knowledge", "nn.norm.batch_norm")
_ROW_WISE = {f"torch.nn.modules.{name}" for name in _OF_TORCH} | {"pyg_diffpool.models"}
_ROW_WISE |= {f"torch_geometric.{n}" for n in (*_OF_PYG, "utils._trim_to_layer")}


def call_gnn(module: Module, x: Tensor, graph: MiniBatch) -> Tensor:
    """Run `module` over the nodes of `graph`.

    Args:
        module: A `MessagePassing` layer, a model of such layers called as
            `module(x, edge_index, ...)`, one of PyG's dense layers called as
            `module(x, adj, mask)`, or a module of `x` alone. Of `edge_weight`,
            `edge_attr`, `batch` and `batch_size` it is given what it takes.
        x: Node features in the form of the graph, `[N, C]` or `[B, M, C]`.
        graph: The graph.

    Returns:
        Node features, `[N, C']`, or `[B, M, C']` with zeros for padding.

    Raises:
        TypeError: If the module needs what a graph does not have, or gives anything
            but node features.
        ValueError: If a layer cannot use the edge weights that the graph has, or is
            built for other edge features, or if a dense layer meets a sparse graph.
    """
    if not isinstance(graph, PaddedGraph):
        return _call(module, x, graph)
    mask = graph.mask
    is_dense = "adj" in layers.arguments_of(module)
    if is_dense:  # such layers receive along rows
        x = x if mask is None else x.masked_fill(~mask.unsqueeze(-1), 0)
        out: Tensor = module(x, graph.adj.transpose(1, 2), mask)
        return out if mask is None else out.masked_fill(~mask.unsqueeze(-1), 0)
    if mask is None or may_read_values(mask) or not is_row_wise(module):
        return graph.blocks(_call(module, graph.rows(x), graph))
    padding = ~mask.unsqueeze(-1)
    whole = PaddedGraph(graph.adj, None, graph.edge_attr)
    norms = [m for m in module.modules() if isinstance(m, BatchNorm1d)]
    real = mask.reshape(-1, 1)
    changes = [(norm, "forward", partial(batch_norm, norm, real)) for norm in norms]
    with layers.patched(changes):
        out = _call(module, whole.rows(x.masked_fill(padding, 0)), whole)
    return whole.blocks(out).masked_fill(padding, 0)


def is_row_wise(module: Module) -> bool:
    """Whether rows of padding change no other row, but for batch norms.

    So in layers that follow a rule and in PyG's `BasicGNN`, `MLP` and `Sequential` of
    such layers, maps, activations, dropout and norms of each row or of the batch.
    """
    kind: Any = type(module)
    children = {k: v for k, v in module._modules.items() if v is not None}
    known = layers.is_of_class(module, module.forward)
    if kind is pyg.Sequential:  # of modules alone, not of functions
        known = len(vars(module)["_children"]) == len(children)
    elif find_rule(module) is not None:
        children.pop("aggr_module", None)  # which a rule does not call
    elif kind is pyg.MLP or kind.forward is BasicGNN.forward:
        known = known and isinstance(module.act, Module | None)
    elif kind is pyg.LayerNorm:
        known = known and module.mode == "node"
    elif kind is not BatchNorm1d:
        by_row = kind.__module__ in _ROW_WISE and kind is not MultiheadAttention
        known = known and by_row and vars(module).get("dim") in (-1, 1, None)
    return known and not has_hooks(module) and all(map(is_row_wise, children.values()))


def _call(module: Module, x: Tensor, graph: MiniBatch) -> Tensor:
    takes, name = layers.arguments_of(module), type(module).__name__
    if "adj" in takes:
        raise ValueError(
            f"Expected padded input for {name}, which takes a dense 'adj' (got an edge "
            "list). Use the sparse layer, or 'to_padded' first."
        )
    if isinstance(module, pyg.WLConv):
        raise TypeError(
            "Expected a GNN of floating-point features (got WLConv, which colours "
            "nodes by integers). Take WLConvContinuous."
        )
    facts = {n: getattr(graph, n) for n in ("batch", "batch_size") if n in takes}
    has_layers = any(layers.layers_of(module))
    takes_edges = "edge_index" in takes or ("*" in takes and has_layers)
    edge_index: Any = _TOKEN
    weights: dict[str, Tensor] = {}
    if takes_edges and not _hands_edges_on(module, takes):
        edge_index, weights = graph.edges[0], _weights(takes, x, graph)
    _check_complete(name, takes, {"edge_index", *facts, *weights})
    own = tuple(weights.values())
    if own and graph.edges[1] is None and graph.edge_features is None:
        own = ()  # but ones
    call = layers.Call(graph, edge_index, own)
    try:
        with layers.patched(call.changes(module, takes_edges)):
            edges = [edge_index] if takes_edges else []
            out = module(x, *edges, **facts, **weights)
    finally:
        call.graph = None
    return _checked_features(name, out, x.size(0))


def _checked_features(name: str, out: Any, n: int) -> Tensor:
    """`out`, once it is seen to be node features."""
    if not isinstance(out, Tensor):
        got = type(out).__name__
    elif not out.is_floating_point() or out.dim() != 2 or out.size(0) != n:
        got = f"{out.dtype} of shape {list(out.shape)}"
    else:
        return out
    raise TypeError(
        f"Expected floating-point node features [{n}, C] from the GNN (got "
        f"{got} from {name}). Put it into a module that returns them."
    )


def _hands_edges_on(module: Module, takes: dict[str, bool]) -> bool:
    """Whether a token will do for the edges, which then need not be listed."""
    weighs = "edge_weight" in takes or "edge_attr" in takes
    return layers.hands_edges_on(module) or (not weighs and is_row_wise(module))


def _weights(takes: dict[str, bool], x: Tensor, graph: MiniBatch) -> dict[str, Tensor]:
    """The edge weights, where they are taken; ones where they must not be missing.

    Under the name of edge features they stand in for these where there are none.
    """
    (edge_index, weight), features = graph.edges, graph.edge_features
    given = x.new_ones(edge_index.size(1)) if weight is None else weight
    attr = given.unsqueeze(-1) if features is None else features
    known = {"edge_weight": given, "edge_attr": attr}
    if weight is None:  # then given where it must be
        known = {n: v for n, v in known.items() if takes.get(n) or v is features}
    return {name: value for name, value in known.items() if name in takes}


def _check_complete(name: str, takes: dict[str, bool], given: Iterable[str]) -> None:
    needed = [key for key, is_needed in takes.items() if is_needed][1:]
    missing = [f"'{key}'" for key in needed if key not in given]
    if missing:
        raise TypeError(
            f"Expected a GNN that can be called as 'gnn(x, edge_index)' (got {name}, "
            f"which also needs {', '.join(missing)}). Put it into a module of your own,"
            " or a torch_geometric.nn.Sequential, that supplies the rest, e.g. "
            'Sequential("x, edge_index", [(GCN2Conv(64, 0.5), "x, x, edge_index -> x")'
            "])."
        )


def find_gnn(name: str) -> type[BasicGNN]:
    """Return a `BasicGNN` model of `torch_geometric.nn`.

    Raises:
        ValueError: If there is none of this name.
    """
    gnn = getattr(pyg, name, None)
    if isinstance(gnn, type) and issubclass(gnn, BasicGNN):
        return gnn
    raise ValueError(
        "Expected 'gnn' to name a BasicGNN model of torch_geometric.nn, such as "
        f"'GraphSAGE', 'GCN' or 'GIN' (got '{name}')."
    )
