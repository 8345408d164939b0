"""The layers of a module run on a graph, for the length of one call.

The user's own model is run. Meanwhile each of its `MessagePassing` layers has a
`forward` of ours, which computes by a rule, or calls the layer's own with the weights
and edge features of the graph.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from inspect import Parameter, signature
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric import nn as pyg
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.models.basic_gnn import BasicGNN

from pyg_diffpool._checks import wrong
from pyg_diffpool._minibatch import MiniBatch, PaddedGraph
from pyg_diffpool.conv.rules import find_rule

Change = tuple[Any, str, Any]  # an object, the name of an attribute, its value
_ABSENT = object()
_WEIGHTS = ("edge_weight", "edge_attr")
_STARS = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_BY_DIM = (pyg.CGConv, pyg.GMMConv, pyg.SplineConv)
# Those that fail without weights or edge features where they are built for them.
_NEED_WEIGHTS: Any = (*_BY_DIM, pyg.FAConv, pyg.GINEConv, pyg.NNConv, pyg.PNAConv)
_NEED_WEIGHTS += (pyg.ResGatedGraphConv, pyg.TransformerConv)


@contextmanager
def patched(changes: Iterable[Change]) -> Iterator[None]:
    """Attributes of objects themselves, set for a while."""
    before = []
    try:
        for thing, name, value in changes:
            own = thing.__dict__
            before.append((own, name, own.get(name, _ABSENT)))
            own[name] = value
        yield
    finally:
        for own, name, old in reversed(before):
            own[name] = old
            if old is _ABSENT:
                del own[name]


def parts_of(module: Module) -> list[Any]:
    """The module and all within it; `Module.modules` takes some times as long."""
    found, known = [module], {module}
    for part in found:
        for child in part._modules.values():
            if child is not None and child not in known:
                known.add(child)
                found.append(child)
    return found


def layers_of(module: Module) -> Iterator[Any]:
    """All `MessagePassing` layers in `module`, and none within these."""
    if isinstance(module, MessagePassing):
        yield module
        return
    for child in module._modules.values():
        if child is not None:
            yield from layers_of(child)


def hands_edges_on(module: Any) -> bool:
    """Whether `edge_index` reaches the layers as given: in layers and PyG's models."""
    convs = module.convs if type(module).forward is BasicGNN.forward else [module]
    return all(isinstance(conv, MessagePassing) for conv in convs)


def arguments_of(module: Module) -> dict[str, bool]:
    """What its forward takes, features first, and whether it must be; `*` for any."""
    module = module._modules.get("_orig_mod") or module  # of `torch.compile`
    if isinstance(module, pyg.Sequential):
        return dict.fromkeys(module.signature.param_dict, True)
    is_compiled = torch.compiler.is_compiling()  # which warns of a cache
    read: Any = _arguments.__wrapped__ if is_compiled else _arguments
    return cast(dict[str, bool], read(type(module).forward))


@cache
def _arguments(forward: Any) -> dict[str, bool]:
    out = {}
    parameters = list(signature(forward).parameters.values())
    for p in parameters if parameters[0].kind in _STARS else parameters[1:]:
        name = "*" if p.kind is Parameter.VAR_POSITIONAL else p.name
        out[name] = p.default is p.empty and p.kind not in _STARS
    return out


def _mode() -> Any:
    """What `torch.utils.checkpoint` changes, which runs layers again after a call."""
    if torch.compiler.is_compiling():
        return None
    hooks = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", bool)
    return torch.is_grad_enabled(), hooks(True)


class Edges:
    """A graph's edges for a model that is to hand them on to its layers, or turned.

    Whatever else it does with them fails, since it would not regard their weights.
    """

    def __init__(self, graph: MiniBatch) -> None:
        self.graph = graph

    def flip(self, *_: Any) -> "Edges":
        """The edges turned round."""
        return Edges(self.graph.turned)


def lost_weights(got: str) -> Exception:
    """The error where a model does more with edges than it can without weights."""
    what = "a model that hands 'edge_index' on to its layers as it is, or by 'flip'"
    hint = "The graph's edge weights would be lost. Give the model's forward an "
    hint += "'edge_weight' argument, and use it."
    return wrong(ValueError, what, got, hint)


@dataclass
class Call:
    """What all layers share for the length of one call."""

    edge_index: Any  # what the model is called with
    weights: tuple[Tensor, ...]  # or features: the graph's own that it is called with
    graph: Any = None  # MiniBatch, while the call lasts
    mode: Any = field(default_factory=_mode)

    def changes(self, module: Module, graph: MiniBatch) -> Iterator[Change]:
        """Those by which the layers of `module` run on the graph."""
        yield self, "graph", graph
        for part in parts_of(module):
            compiled = part._modules.get("_orig_mod")  # anew at each call, if it were
            if compiled is not None and any(layers_of(part)):
                yield part, "forward", compiled
            if part._compiled_call_impl is not None and any(layers_of(part)):
                yield part, "_compiled_call_impl", None
        for conv in layers_of(module):
            if conv.explain and isinstance(graph, PaddedGraph):
                yield conv, "_explain", None  # masks are for the edges of the input
            own = conv.forward
            if isinstance(own, partial) and hasattr(own.func, "__self__"):
                in_call = isinstance(own.func.__self__, Call)  # within this one
                own = own.args[0] if in_call else own
            yield conv, "forward", partial(self.run, own, conv)

    def run(self, own: Any, conv: Any, *args: Any, **kwargs: Any) -> Any:
        """The forward of a layer."""
        if self.graph is None:  # kept by the model from a call before
            return conv.forward(*args, **kwargs)
        names = list(arguments_of(conv))
        given = dict(zip(names, args, strict=False)) | kwargs
        graph = self.graph_for(conv, given)
        if graph is None:
            if any(isinstance(value, Edges) for value in (*args, *kwargs.values())):
                raise lost_weights(f"{conv} in a checkpoint, or of edges of two kinds")
            return own(*args, **kwargs)
        given = {k: v for k, v in given.items() if k not in _WEIGHTS}
        others = {k: v for k, v in given.items() if v is not None}
        x, rule = others.pop(names[0], None), find_rule(conv, own)
        plain = len(others) == 1 and isinstance(x, Tensor)
        if rule and plain and not (conv.explain and graph.edges[1] is None):
            graph = graph if conv.flow == "source_to_target" else graph.turned
            return rule(conv, x, masked_edges(graph, conv) if conv.explain else graph)
        if isinstance(given["edge_index"], Edges):
            given["edge_index"] = graph.edges[0]
        return own(**given, **_edge_arguments(conv, graph, given))

    def graph_for(self, conv: Module, given: dict[str, Any]) -> Any:
        """The graph, or with its edges turned round, that a layer is to run on.

        `None` if on other edges, or with weights, that the model has made itself; or
        if as the model calls it, since it will be called so once more.
        """
        own, edge_index = self.edge_index, given.get("edge_index")
        reruns = self.mode != _mode()
        if reruns and any([p.requires_grad for p in conv.parameters()] or [True]):
            return None
        if isinstance(edge_index, Edges):
            return edge_index.graph
        weights = [given[n] for n in _WEIGHTS if given.get(n) is not None]
        if any(all(value is not w for w in self.weights) for value in weights):
            return None
        if edge_index is own:
            return self.graph
        if not (isinstance(own, Tensor) and isinstance(edge_index, Tensor)):
            return None
        is_bare = all(value is None for value in self.graph.edges[1:])
        is_turned = not is_bare and torch.equal(edge_index, own.flip(0))
        return self.graph.turned if is_turned else None


def _edge_arguments(
    conv: Any, graph: MiniBatch, given: dict[str, Any]
) -> dict[str, Tensor]:
    """The keyword arguments by which `conv` receives weights and edge features.

    The weights as `edge_weight`, or as `edge_attr` by a layer that is built for edge
    features of one channel; edge features stand for them. On an unweighted graph a
    layer of one channel, or that cannot do without, is given ones.
    """
    names = arguments_of(conv).keys()
    types = [f"'{n}'" for n in ("edge_type", "node_type") if {n} & names - given.keys()]
    if types and not (isinstance(conv, pyg.FiLMConv) and conv.num_relations == 1):
        hint = "Take it into a module of your own that supplies them, or a layer "
        hint += "without types, such as GCNConv."
        got = f"{conv}, which needs {types[0]}"
        raise wrong(ValueError, "a layer for graphs without types", got, hint)
    edge_index, weight, features = graph.edges
    channels, out = _edge_channels(conv), {}
    fixed = isinstance(conv, pyg.FAConv) and conv.normalize
    needs = isinstance(conv, _NEED_WEIGHTS) or channels == 1
    by_weight = "edge_weight" in names and not fixed
    if features is not None and channels is not None:
        out["edge_attr"] = _with_weights(conv, features, weight)
    elif weight is None and needs and (by_weight or channels is not None):
        weight = next(conv.parameters()).new_ones(edge_index.size(1))
    if weight is not None and by_weight:
        out["edge_weight"] = weight
    elif weight is not None and not out and channels == 1:
        out["edge_attr"] = weight.unsqueeze(-1)
    elif weight is not None and not out:
        what = "a layer that uses edge weights, which all pooled graphs have"
        hint = "Take GCNConv, GraphConv, GINConv or SAGEConv with mean or sum "
        hint += "aggregation, or a layer with 'edge_dim=1', which receives the "
        hint += "weights as 'edge_attr'."
        raise wrong(ValueError, what, conv, hint)
    return out


def _edge_channels(conv: Any) -> int | None:
    """How many channels of edge features `conv` is built for, `None` if for none.

    By `GINEConv` without a map of their own -1, which is those of the nodes.
    """
    if "edge_attr" not in arguments_of(conv):
        return None
    is_gine = isinstance(conv, pyg.GINEConv)
    name = "nn" if isinstance(conv, pyg.NNConv) else "lin" if is_gine else "lin_edge"
    places = [(conv, "dim")] if isinstance(conv, _BY_DIM) else []
    places += [(conv, "edge_dim"), (conv, "in_edge_channels")]
    network = getattr(conv, name, None)
    for module in () if network is None else network.modules():
        places += [(module, "in_features"), (module, "in_channels")]
    places += [(conv, "out_channels")] if isinstance(conv, pyg.GENConv) else []
    widths = [getattr(module, name, None) for module, name in places]
    widths += [-1] if is_gine else []
    return next((width for width in widths if isinstance(width, int) and width), None)


def _with_weights(conv: Any, features: Tensor, weight: Tensor | None) -> Tensor:
    """Features for a layer of D channels, or for D + 1, with the weights as last."""
    channels, (e, d) = _edge_channels(conv), features.shape
    if channels not in (-1, d, d + 1):
        what = f"a layer with 'edge_dim' = {d}, one for each edge feature, or {d + 1}, "
        what += "which adds the edge weight as the last one"
        raise wrong(ValueError, what, f"{channels} in {conv}")
    if channels != d + 1:
        return features
    last = features.new_ones(e) if weight is None else weight.to(features.dtype)
    return torch.cat([features, last.unsqueeze(-1)], 1)


def check_takes_features(edge_attr: Tensor, *gnns: Module | None) -> None:
    """At least one of the GNNs that use edges at all uses edge features."""
    names = []
    for gnn in (gnn for gnn in gnns if gnn is not None):
        convs, takes = list(layers_of(gnn)), arguments_of(gnn)
        if "edge_attr" in takes and not hands_edges_on(gnn):
            return
        if any(_edge_channels(conv) is not None for conv in convs):
            return
        names += [str(gnn)] if convs or "edge_index" in takes else []
    if names:
        d = edge_attr.size(-1)
        hint = "Take GATv2Conv, TransformerConv, GINEConv or another with 'edge_dim="
        hint += f"{d}', or {d + 1} to add the edge weight as the last channel; "
        hint += "'diff_pool' itself pools edge features without any layer."
        what = "'embed' or 'assign' with a layer for 'edge_attr'"
        raise wrong(ValueError, what, " and ".join(names), hint)


def masked_edges(graph: MiniBatch, *modules: Module | None) -> MiniBatch:
    """The graph with its edge weights multiplied by an explainer's mask, if any."""
    convs = [conv for m in modules if m is not None for conv in layers_of(m)]
    conv = next((conv for conv in convs if conv.explain), None)
    if conv is None or isinstance(graph, PaddedGraph):
        return graph
    mask, num_edges = conv._edge_mask, graph.edge_index.size(1)
    if mask is None or mask.numel() != num_edges:
        what = f"an edge mask for each of the {num_edges} edges"
        got = f"{None if mask is None else list(mask.shape)} on {conv}"
        hint = "On layers that run on other edges than those of the input, set "
        hint += "'layer.explain = False' before explaining."
        raise wrong(ValueError, what, got, hint)
    return graph.masked(mask.sigmoid() if conv._apply_sigmoid else mask)
