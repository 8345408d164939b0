"""The layers of a module run on a graph, for the length of one call.

The user's own model is run. Meanwhile each of its `MessagePassing` layers has a
`forward` of ours, which computes by a rule, or calls the layer's own with the weights
and edge features of the graph.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from inspect import Parameter, ismethod, signature
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric import nn as pyg
from torch_geometric.nn.models.basic_gnn import BasicGNN

from pyg_diffpool._minibatch import FlatGraph, MiniBatch, PaddedGraph
from pyg_diffpool.conv.rules import Sums, find_rule

Changes = Iterable[tuple[Module, str, Any]]
_ABSENT = object()
_WEIGHTS = ("edge_weight", "edge_attr")
_FLOWS = ("source_to_target", "target_to_source")
# Those that fail without edge features where they are built for them.
_NEED_EDGE_ATTR = [pyg.CGConv, pyg.GINEConv, pyg.GMMConv, pyg.NNConv, pyg.PNAConv]
_NEED_EDGE_ATTR += [pyg.ResGatedGraphConv, pyg.SplineConv, pyg.TransformerConv]


@contextmanager
def patched(changes: Changes) -> Iterator[None]:
    """Attributes of modules themselves, set for a while."""
    before = []
    try:
        for module, name, value in changes:
            before.append((vars(module), name, vars(module).get(name, _ABSENT)))
            vars(module)[name] = value
        yield
    finally:
        for own, name, old in reversed(before):
            own[name] = old
            if old is _ABSENT:
                del own[name]


def layers_of(module: Module) -> Iterator[Any]:
    """All `MessagePassing` layers in `module`; faster than by `modules()`."""
    if isinstance(module, pyg.MessagePassing):
        yield module
    for child in module._modules.values():
        if child is not None:
            yield from layers_of(child)


def hands_edges_on(module: Module) -> bool:
    """Whether `edge_index` reaches the layers as given: in layers and PyG's models."""
    is_model = type(module).forward is BasicGNN.forward
    return is_model or isinstance(module, pyg.MessagePassing)


def arguments_of(module: Module, forward: Any = None) -> dict[str, bool]:
    """What its forward takes, features first, and whether it must be; `*` for any."""
    module = module._modules.get("_orig_mod") or module  # of `torch.compile`
    declared = getattr(getattr(module, "signature", None), "param_dict", None)
    if declared is not None:  # by PyG's `Sequential`
        return dict.fromkeys(declared, True)
    forward = forward or _own(module, "forward")
    is_method = is_of_class(module, forward)
    read: Any = _arguments
    if torch.compiler.is_compiling():  # which warns of a cache
        read = _arguments.__wrapped__
    out: dict[str, bool] = read(
        type(module).forward if is_method else forward, int(is_method)
    )
    return out


@lru_cache(maxsize=256)
def _arguments(forward: Any, start: int) -> dict[str, bool]:
    out: dict[str, bool] = {}
    for p in list(signature(forward).parameters.values())[start:]:
        is_star = p.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        name = "*" if p.kind is Parameter.VAR_POSITIONAL else p.name
        out[name] = p.default is p.empty and not is_star
    return out


def is_of_class(module: Module, forward: Any) -> bool:
    """Whether a forward is that of the class, and none that the user put over it."""
    return ismethod(forward) and forward.__func__ is type(module).forward


def _own(module: Module, name: str) -> Any:
    """The method of the module, also within a call."""
    method: Any = getattr(module, name)
    is_ours = isinstance(method, partial) and method.func in (_run, _propagate)
    return method.args[1] if is_ours else method


def _mode() -> Any:
    """What `torch.utils.checkpoint` changes, which runs layers again after a call."""
    if torch.compiler.is_compiling():
        return None
    hooks = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", bool)
    return torch.is_grad_enabled(), hooks(True)


@dataclass
class Call:
    """What all layers share for the length of one call."""

    graph: Any  # MiniBatch, or None once the call is over
    edge_index: Any  # what the model was called with: the edges, or a token for them
    weights: tuple[Tensor, ...]  # or features: the graph's own that it was called with
    is_within: bool = False  # a layer, whose own business then all calls are
    mode: Any = field(default_factory=_mode)

    def changes(self, module: Module, has_edges: bool) -> Changes:
        """Those by which the layers of `module` run on the graph."""
        for part in module.modules() if has_edges else ():
            compiled = part._modules.get("_orig_mod")  # anew at each call, if it were
            if compiled is not None and any(layers_of(part)):
                yield part, "forward", compiled
            if part._compiled_call_impl is not None and any(layers_of(part)):
                yield part, "_compiled_call_impl", None
        for conv in layers_of(module):
            if conv.explain and isinstance(self.graph, PaddedGraph):
                yield conv, "_explain", None  # masks are for the edges of the input
            for name, ours in (("forward", _run), ("propagate", _propagate)):
                if has_edges:
                    yield conv, name, partial(ours, self, _own(conv, name), conv)

    def run(self, forward: Any, *args: Any, **kwargs: Any) -> Any:
        """The layer's own forward."""
        self.is_within = True
        try:
            return forward(*args, **kwargs)
        finally:
            self.is_within = False

    def is_turned(self, conv: Any, given: dict[str, Any]) -> bool | None:
        """Whether a layer is to run on the graph's edges turned round.

        `None` if on other edges, or with weights, that the model has made itself; or
        if as the model calls it, since it will be called so once more.
        """
        own, graph, edge_index = self.edge_index, self.graph, given.get("edge_index")
        weights = [given[n] for n in _WEIGHTS if given.get(n) is not None]
        if any(all(value is not w for w in self.weights) for value in weights):
            return None
        reruns = isinstance(own, Tensor) and _mode() != self.mode
        if reruns and any([p.requires_grad for p in conv.parameters()] or [True]):
            return None
        if edge_index is own:
            return False
        if not isinstance(own, Tensor) or not isinstance(edge_index, Tensor):
            return None
        bare = graph.edges[1] is None and graph.edge_features is None
        if bare or edge_index.shape != own.shape or edge_index.device != own.device:
            return None
        if torch.equal(edge_index, own):
            return False
        return True if torch.equal(edge_index, own.flip(0)) else None

    def check_weights_used(self, conv: Module) -> None:
        """A model that takes the graph's weights answers for them, no other can."""
        if not self.weights and self.graph.edges[1] is not None:
            raise ValueError(
                f"Expected {conv} to be called with the 'edge_index' that the model "
                "was given (got other edges, edge features of the model's own, a "
                "checkpoint, or a call of 'propagate'): the graph's edge weights would "
                "be lost. Give the model's forward an 'edge_weight' argument, and use "
                "it."
            )


def _propagate(call: Call, own: Any, conv: Module, *args: Any, **kwargs: Any) -> Any:
    """The propagate of a layer for the length of a call."""
    if call.graph is not None and not call.is_within:
        call.check_weights_used(conv)
    return own(*args, **kwargs)


def _run(call: Call, own: Any, conv: Any, *args: Any, **kwargs: Any) -> Any:
    """The forward of a layer for the length of a call."""
    graph, names = call.graph, list(arguments_of(conv, own))
    if graph is None:  # kept by the model from a call before
        return conv.forward(*args, **kwargs)
    if call.is_within:
        return own(*args, **kwargs)
    given = dict(zip(names, args, strict=False)) | kwargs
    turned = call.is_turned(conv, given)
    if turned is None:
        if any("edge_index" in name for name in names):
            call.check_weights_used(conv)
        return call.run(own, *args, **kwargs)
    given = {k: v for k, v in given.items() if v is not None and k not in _WEIGHTS}
    x, rule = given[names[0]], find_rule(conv) if is_of_class(conv, own) else None
    plain = len(given) == 2 and isinstance(x, Tensor)
    if rule and plain and not (conv.explain and graph.edges[1] is None):
        flow = _FLOWS[(conv.flow == _FLOWS[0]) == turned]
        masked = masked_edges(graph, conv) if isinstance(graph, FlatGraph) else graph
        return rule(conv, x, Sums(graph, masked, flow))
    edge_index, _ = graph.edges
    given["edge_index"] = edge_index.flip(0) if turned else edge_index
    given |= _edge_arguments(conv, names, graph, given)
    leading = names[: names.index("edge_index") + 1]
    return call.run(own, *[given.pop(name) for name in leading], **given)


def _edge_arguments(
    conv: Any, names: list[str], graph: MiniBatch, given: dict[str, Any]
) -> dict[str, Tensor]:
    """The keyword arguments by which `conv` receives weights and edge features.

    The weights as `edge_weight`, or as `edge_attr` by a layer that is built for edge
    features of one channel; edge features stand for them. On an unweighted graph a
    layer that cannot do without is given ones.
    """
    types = [n for n in ("edge_type", "node_type") if n in names and n not in given]
    if types and not (isinstance(conv, pyg.FiLMConv) and conv.num_relations == 1):
        raise ValueError(
            f"Expected a layer for graphs without types (got {conv}, which needs "
            f"'{types[0]}'). Take it into a module of your own that supplies them, or "
            "a layer without types, such as GCNConv."
        )
    (edge_index, weight), features = graph.edges, graph.edge_features
    if features is not None and takes_features(conv, names):
        given["edge_attr"] = _with_weights(conv, features, weight)
    channels = _edge_channels(conv) if "edge_attr" in names else None
    fixed = isinstance(conv, pyg.FAConv) and conv.normalize
    if weight is None and "edge_attr" not in given:
        needs = isinstance(conv, tuple(_NEED_EDGE_ATTR)) and channels is not None
        if needs or (isinstance(conv, pyg.FAConv) and not fixed):
            weight = next(conv.parameters()).new_ones(edge_index.size(1))
    if weight is None:
        return {}
    if "edge_weight" in names and not fixed:
        return {"edge_weight": weight}
    if "edge_attr" in given:
        return {}
    if channels == 1:
        return {"edge_attr": weight.unsqueeze(-1)}
    raise ValueError(
        "Expected a layer that uses edge weights, one number an edge, which all pooled "
        f"graphs have (got {conv}). Take GCNConv, GraphConv, GINConv or SAGEConv with "
        "mean or sum aggregation, or a layer with 'edge_dim=1', which receives the "
        "weights as 'edge_attr'." + " Or build it with 'normalize=False'." * fixed
    )


def _edge_channels(conv: Any) -> int | None:
    """How many channels of edge features `conv` is built for, `None` if for none."""
    if isinstance(conv, pyg.CGConv | pyg.GMMConv | pyg.SplineConv):
        return conv.dim or None
    named = "lin" if isinstance(conv, pyg.GINEConv) else "lin_edge"
    named = "nn" if isinstance(conv, pyg.NNConv) else named
    network = getattr(conv, named, None)
    places = [(conv, "edge_dim"), (conv, "in_edge_channels")]
    for module in () if network is None else network.modules():  # a linear map's
        places += [(module, "in_features"), (module, "in_channels")]
    widths = (getattr(module, name, None) for module, name in places)
    return next((width for width in widths if isinstance(width, int)), None)


def takes_features(conv: Any, names: Iterable[str]) -> bool:
    """Whether `conv` is built for edge features, of its own width or of the nodes'."""
    of_nodes = isinstance(conv, pyg.GENConv | pyg.GINEConv)
    built = of_nodes or _edge_channels(conv) is not None
    return built and "edge_attr" in names


def _with_weights(conv: Any, features: Tensor, weight: Tensor | None) -> Tensor:
    """Features for a layer of D channels, or for D + 1, with the weights as last."""
    channels, (e, d) = _edge_channels(conv), features.shape
    if channels is None and isinstance(conv, pyg.GENConv):  # adds them to the nodes'
        channels = conv.out_channels
    if channels not in (None, d, d + 1):
        raise ValueError(
            f"Expected a layer with 'edge_dim' = {d}, one for each edge feature, or "
            f"{d + 1}, which adds the edge weight as the last one (got {channels} in "
            f"{conv})."
        )
    last = features.new_ones(e) if weight is None else weight.to(features.dtype)
    columns = [features, last.unsqueeze(-1)] if channels == d + 1 else [features]
    return torch.cat(columns, 1)


def check_takes_features(edge_attr: Tensor, *gnns: Module | None) -> None:
    """At least one of the GNNs that use edges at all uses edge features.

    Raises:
        ValueError: If none does.
    """
    used = [g for g in gnns if g is not None]
    used = [g for g in used if any(layers_of(g)) or "edge_index" in arguments_of(g)]
    for gnn in used:
        takes = not hands_edges_on(gnn) and "edge_attr" in arguments_of(gnn)
        convs = layers_of(gnn)
        if takes or any(takes_features(c, arguments_of(c)) for c in convs):
            return
    d = edge_attr.size(-1)
    if used:
        raise ValueError(
            f"Expected 'embed' or 'assign' with a layer for 'edge_attr' (got "
            f"{' and '.join(map(str, used))}). Take GATv2Conv, TransformerConv, "
            f"GINEConv or another with 'edge_dim={d}', or {d + 1} to add the edge "
            "weight as the last channel; 'diff_pool' itself pools edge features "
            "without any layer."
        )


def masked_edges(graph: FlatGraph, *modules: Module | None) -> FlatGraph:
    """The graph with its edge weights multiplied by an explainer's mask, if any.

    Raises:
        ValueError: If the mask is one for other edges.
    """
    layers = [conv for m in modules if m is not None for conv in layers_of(m)]
    conv = next((conv for conv in layers if conv.explain), None)
    if conv is None:
        return graph
    mask, num_edges = conv._edge_mask, graph.edge_index.size(1)
    if mask is None or mask.numel() != num_edges:
        raise ValueError(
            f"Expected an edge mask for each of the {num_edges} edges (got "
            f"{None if mask is None else list(mask.shape)} on {conv}). On layers that "
            "run on other edges than those of the input, set 'layer.explain = False' "
            "before explaining."
        )
    return graph.weighted(mask.sigmoid() if conv._apply_sigmoid else mask)
