"""The arithmetic of PyG's common layers over any graph, with their own weights.

On an unweighted graph each rule equals the layer itself; repeated edges count as their
sum, also loops, of which `GCNConv` keeps one. Where the layer takes edge weights they
mean the same here; where it takes none (`SAGEConv`, `GINConv`), weighted sums stand in
for sums as in PyG's `DenseSAGEConv` and `DenseGINConv`. Messages run along the edges,
as in PyG's sparse layers; its dense layers run against them
(pyg-team/pytorch_geometric#2319), which shows on directed graphs.
"""

from collections.abc import Callable
from inspect import ismethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, functional
from torch_geometric import nn as pyg

from pyg_diffpool._minibatch import MiniBatch

_CALLS = [f"_{k}_hooks" for k in ("forward", "forward_pre", "backward", "backward_pre")]
_STEPS = ("propagate", "message", "aggregate", "message_and_aggregate", "edge_update")
_INNER = [f"_{s}_forward{when}_hooks" for s in _STEPS for when in ("_pre", "")]
_INNER += ["explain_message"]


def gcn(conv: Any, x: Tensor, graph: MiniBatch) -> Any:
    """As `GCNConv`: a loop for each node that has none, symmetric normalisation."""
    degree = graph.degree.to(x.dtype)
    loop = torch.zeros_like(degree)
    if conv.add_self_loops:
        loop = (~graph.has_loop).to(x.dtype).unsqueeze(-1)
    isolated = degree + loop == 0
    scale = (degree + loop).masked_fill(isolated, 1).pow(-0.5).masked_fill(isolated, 0)

    def aggregate(x: Tensor) -> Tensor:
        x = scale * x
        return scale * (graph.neighbor_sum(x) + loop * x)

    out = _mapped(conv.lin, x, aggregate, maps_first=True)
    return out if conv.bias is None else out + conv.bias


def sage(conv: Any, x: Tensor, graph: MiniBatch) -> Any:
    """As `SAGEConv`; a weighted mean divides by the degree, or by 1 if less."""
    source = conv.lin(x).relu() if conv.project else x
    mean = conv.aggr == "mean"
    out = _mapped(
        conv.lin_l, source, graph.neighbor_mean if mean else graph.neighbor_sum
    )
    out = _plus(out, conv.lin_r, x) if conv.root_weight else out
    return functional.normalize(out, p=2.0, dim=-1) if conv.normalize else out


def gin(conv: Any, x: Tensor, graph: MiniBatch) -> Any:
    """As `GINConv`."""
    return conv.nn(graph.neighbor_sum(x) + (1 + conv.eps) * x)


def graph_conv(conv: Any, x: Tensor, graph: MiniBatch) -> Any:
    """As `GraphConv`."""
    return _plus(_mapped(conv.lin_rel, x, graph.neighbor_sum), conv.lin_root, x)


Rule = Callable[[Any, Tensor, MiniBatch], Any]
_RULES: dict[type, tuple[Rule, tuple[str, ...]]] = {
    pyg.GCNConv: (gcn, ("add",)),
    pyg.SAGEConv: (sage, ("add", "sum", "mean")),
    pyg.GINConv: (gin, ("add", "sum")),
    pyg.GraphConv: (graph_conv, ("add", "sum")),
}


def find_rule(conv: Any, forward: Any) -> Rule | None:
    """The rule that computes what `forward`, of `conv`, computes; `None` if none does.

    Subclasses may compute anything, so only the very classes count, of their options
    only those that a rule covers, and none where hooks wait for calls within it.
    """
    rule, aggrs = _RULES.get(type(conv), (None, ()))
    if rule is None or conv.aggr not in aggrs or not is_of_class(conv, forward):
        return None
    if rule is gcn and (not conv.normalize or conv.improved or conv.cached):
        return None
    return None if any(map(vars(conv).get, _INNER)) else rule


def is_of_class(module: Module, forward: Any) -> bool:
    """Whether a forward is that of the class, and none that the user put over it."""
    return ismethod(forward) and forward.__func__ is type(module).forward


def _mapped(lin: Any, x: Tensor, aggregate: Any, maps_first: bool = False) -> Tensor:
    """`lin(aggregate(x))`, by the order that sums fewer channels.

    The linear map's result is summed forward and the gradient backward; `x` only
    forward where it needs no gradient. A map with hooks is called as PyG calls it.
    """
    out: Tensor
    if type(lin) is not pyg.Linear or has_hooks(lin):
        out = aggregate(lin(x)) if maps_first else lin(aggregate(x))
        return out
    sums = 2 if torch.is_grad_enabled() and not x.requires_grad else 1
    if lin.in_channels <= sums * lin.out_channels:
        out = lin(aggregate(x))
        return out
    out = aggregate(functional.linear(x, lin.weight))
    return out if lin.bias is None else out + lin.bias


def _plus(out: Tensor, lin: Any, x: Tensor) -> Tensor:
    """`out + lin(x)`, by one product where nothing else is in the map."""
    if type(lin) is pyg.Linear and lin.bias is None and not has_hooks(lin):
        return torch.addmm(out, x, lin.weight.t())
    total: Tensor = out + lin(x)
    return total


def has_hooks(module: Module) -> bool:
    """Whether hooks wait for the module to be called."""
    return any(map(vars(module).get, _CALLS))
