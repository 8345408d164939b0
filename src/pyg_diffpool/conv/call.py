"""Calling a GNN, layer or model, on a graph of either form."""

from collections.abc import Iterable
from functools import partial
from typing import Any, cast

from torch import Tensor
from torch.nn import BatchNorm1d, Module, MultiheadAttention
from torch_geometric import nn as pyg
from torch_geometric.nn.models.basic_gnn import BasicGNN

from pyg_diffpool import _modes
from pyg_diffpool._checks import wrong
from pyg_diffpool._minibatch import MiniBatch, PaddedGraph
from pyg_diffpool.conv import layers
from pyg_diffpool.conv.norm import batch_norm
from pyg_diffpool.conv.rules import find_rule, has_hooks, is_of_class

# Where modules are defined that work on each row by itself.
_OF_TORCH = ("activation", "container", "dropout", "linear", "normalization")
_OF_PYG = ["nn.dense.linear", "nn.models.jumping_knowledge", "nn.norm.batch_norm"]
_OF_PYG += ["nn.aggr.basic", "utils._trim_to_layer"]
_ROW_WISE = {f"torch.nn.modules.{name}" for name in _OF_TORCH} | {"pyg_diffpool.models"}
_ROW_WISE |= {f"torch_geometric.{n}" for n in _OF_PYG}


def call_gnn(module: Module, x: Tensor, graph: MiniBatch) -> Tensor:
    """Node features `[N, C']`, or `[B, M, C']` with zeros for padding, by `module`.

    That is a `MessagePassing` layer, a model of such layers called as
    `module(x, edge_index, ...)`, one of PyG's dense layers, or a module of `x` alone.
    Of `edge_weight`, `edge_attr`, `batch` and `batch_size` it is given what it takes.
    """
    if not isinstance(graph, PaddedGraph):
        return _call(module, x, graph)
    mask = graph.mask
    if "adj" in layers.arguments_of(module):  # such layers receive along rows
        return graph.zeroed(module(graph.zeroed(x), graph.adj.mT, mask))
    if mask is None or _modes.may_read_values(mask) or not is_row_wise(module):
        return graph.blocks(_call(module, graph.rows(x), graph))
    parts = layers.parts_of(module)
    norms = [m for m in parts if isinstance(m, BatchNorm1d) and m.training]
    changes = [(norm, "forward", partial(batch_norm, norm, graph)) for norm in norms]
    whole = graph.whole
    with layers.patched(changes):
        out = _call(module, whole.rows(graph.zeroed(x)), whole)
    return graph.zeroed(whole.blocks(out))


def is_row_wise(module: Module) -> bool:
    """Whether rows of padding change no other row, but for batch norms.

    So in layers that follow a rule and in PyG's `BasicGNN`, `MLP` and `Sequential` of
    such layers, maps, activations, dropout and norms of each row or of the batch.
    """
    return all(map(_is_row_wise, layers.parts_of(module)))


def _is_row_wise(part: Any) -> bool:
    """The same, whatever its children are."""
    kind, own = type(part), vars(part)
    if has_hooks(part):
        return False
    if kind is pyg.Sequential:  # of modules alone, not of functions
        return len(own["_children"]) == len(part._modules)
    if not is_of_class(part, part.forward):
        return False
    if isinstance(part, pyg.MessagePassing):
        return find_rule(part, part.forward) is not None
    if kind is pyg.MLP or kind.forward is BasicGNN.forward:
        return isinstance(part.act, Module | None)
    if kind is BatchNorm1d:
        return part.track_running_stats and part.momentum is not None
    if kind is pyg.LayerNorm:
        return bool(part.mode == "node")
    by_row = kind.__module__ in _ROW_WISE and kind is not MultiheadAttention
    return by_row and own.get("dim") in (-1, 1, None)


def _call(module: Module, x: Tensor, graph: MiniBatch) -> Tensor:
    takes, name = layers.arguments_of(module), type(module).__name__
    if "adj" in takes:
        what = f"padded input for {name}, which takes a dense 'adj'"
        hint = "Use the sparse layer, or 'to_padded' first."
        raise wrong(ValueError, what, "an edge list", hint)
    if isinstance(module, pyg.WLConv):
        got = "WLConv, which colours nodes by integers"
        raise wrong(TypeError, "a GNN of float features", got, "Take WLConvContinuous.")
    given: dict[str, Any] = {
        n: getattr(graph, n) for n in ("batch", "batch_size") if n in takes
    }
    edges: list[Any] = []
    changes: Iterable[layers.Change] = ()
    if "edge_index" in takes or ("*" in takes and any(layers.layers_of(module))):
        weighs = "edge_weight" in takes or "edge_attr" in takes
        hands_on = layers.hands_edges_on(module) or (not weighs and is_row_wise(module))
        weights = {} if hands_on else _weights(takes, x, graph)
        stands_in = hands_on or (not weights and graph.edges[1] is not None)
        edges = [layers.Edges(graph) if stands_in else graph.edges[0]]
        is_own = stands_in or any(value is not None for value in graph.edges[1:])
        own = tuple(weights.values()) if is_own else ()  # not ones
        changes = layers.Call(edges[0], own).changes(module, graph)
        given |= weights
    _check_complete(name, takes, {"edge_index", *given})
    with layers.patched(changes):
        try:
            out = module(x, *edges, **given)
        except (AttributeError, NotImplementedError, TypeError) as error:
            no_edges = any(isinstance(e, layers.Edges) for e in edges)
            if no_edges and (not str(error) or "Edges" in str(error)):
                raise layers.lost_weights(f"{error!r} from {name}") from error
            raise
    n, is_tensor = x.size(0), isinstance(out, Tensor)
    if is_tensor and out.is_floating_point() and out.dim() == 2 and out.size(0) == n:
        return cast(Tensor, out)
    got = f"{out.dtype} of shape {list(out.shape)}" if is_tensor else type(out).__name__
    what = f"floating-point node features [{n}, C] from the GNN"
    hint = "Put it into a module that returns them."
    raise wrong(TypeError, what, f"{got} from {name}", hint)


def _weights(takes: dict[str, bool], x: Tensor, graph: MiniBatch) -> dict[str, Tensor]:
    """The edge weights, where they are taken; ones where they must not be missing.

    Under the name of edge features they stand in for these where there are none.
    """
    edge_index, weight, features = graph.edges
    given = x.new_ones(edge_index.size(1)) if weight is None else weight
    attr = given.unsqueeze(-1) if features is None else features
    known = [("edge_weight", given, weight is not None)]
    known += [("edge_attr", attr, weight is not None or features is not None)]
    return {n: v for n, v, is_there in known if n in takes and (takes[n] or is_there)}


def _check_complete(name: str, takes: dict[str, bool], given: set[str]) -> None:
    needed = [key for key, is_needed in takes.items() if is_needed][1:]
    missing = [f"'{key}'" for key in needed if key not in given]
    if missing:
        what = "a GNN that can be called as 'gnn(x, edge_index)'"
        got = f"{name}, which also needs {', '.join(missing)}"
        hint = "Put it into a module of your own, or a torch_geometric.nn.Sequential, "
        hint += 'that supplies the rest, e.g. Sequential("x, edge_index", '
        hint += '[(GCN2Conv(64, 0.5), "x, x, edge_index -> x")]).'
        raise wrong(TypeError, what, got, hint)


def find_gnn(name: str) -> type[BasicGNN]:
    """The `BasicGNN` model of this name in `torch_geometric.nn`."""
    gnn = getattr(pyg, name, None)
    if isinstance(gnn, type) and issubclass(gnn, BasicGNN):
        return gnn
    what = "'gnn' to name a BasicGNN model of torch_geometric.nn, such as 'GraphSAGE'"
    raise wrong(ValueError, what, f"'{name}'")
