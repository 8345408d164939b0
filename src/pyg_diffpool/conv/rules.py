"""The arithmetic of PyG's common layers over any `Graph`, with their own weights.

On an unweighted graph each rule equals the layer itself; repeated edges count as their
sum, also loops, of which `GCNConv` keeps one. Where the layer takes edge
weights they mean the same here; where it takes none (`SAGEConv`, `GINConv`), weighted
sums stand in for sums as in PyG's `DenseSAGEConv` and `DenseGINConv`. Messages run
along the edges, from source to target, as in PyG's sparse layers; its dense layers run
against them (pyg-team/pytorch_geometric#2319), which shows on directed graphs.
"""

from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.nn import Module, functional
from torch_geometric.nn import (
    GATConv,
    GCNConv,
    GINConv,
    GraphConv,
    Linear,
    SAGEConv,
)
from torch_geometric.nn.conv import MessagePassing

from pyg_diffpool.graphs import Graph, PaddedGraph

Rule = Callable[[Any, Tensor, Any], Tensor]
_CALL_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)


def find_rule(conv: MessagePassing, graph: Graph) -> Rule | None:
    """The rule that computes what `conv` computes, or `None` if there is none.

    Subclasses may compute anything, so only the very classes count, and of their
    options only those that a rule covers.
    """
    kind = type(conv)
    if "forward" in vars(conv):  # the user's own, put over the class's
        return None
    if _is_watched(conv) or (conv.explain and graph.edges[1] is None):
        return None
    if kind is GCNConv and conv.normalize and not (conv.improved or conv.cached):
        return gcn
    if kind is SAGEConv and conv.aggr in ("mean", "add", "sum"):
        return sage
    if kind is GINConv and conv.aggr in ("add", "sum"):
        return gin
    if kind is GraphConv and conv.aggr in ("add", "sum"):
        return graph_conv
    if kind is GATConv and _plain_gat(conv, graph):
        return gat
    return None


def gcn(conv: GCNConv, x: Tensor, graph: Graph) -> Tensor:
    """As `GCNConv`: a loop for each node that has none, symmetric normalisation.

    The linear map goes last where fewer channels are then summed.
    """
    lin = conv.lin
    maps_last = _is_plain(lin) and not _narrows(lin, x)
    x = x if maps_last else lin(x)
    degree = _degree(conv, graph).to(x.dtype)
    loop = torch.zeros_like(degree)
    if conv.add_self_loops:
        loop = (~graph.has_loop).to(x.dtype).unsqueeze(-1)
    degree = degree + loop
    isolated = degree == 0
    scale = degree.masked_fill(isolated, 1).pow(-0.5).masked_fill(isolated, 0)
    x = scale * x
    out = scale * (graph.neighbor_sum(x, conv.flow) + loop * x)
    out = lin(out) if maps_last else out
    return out if conv.bias is None else out + conv.bias


def sage(conv: SAGEConv, x: Tensor, graph: Graph) -> Tensor:
    """As `SAGEConv`; a weighted mean divides by the degree, or by 1 if less.

    The linear map goes first where fewer channels are then summed.
    """
    source = conv.lin(x).relu() if conv.project else x
    mean = conv.aggr == "mean"
    aggregate = graph.neighbor_mean if mean else graph.neighbor_sum
    out = _summed_and_mapped(conv.lin_l, source, aggregate, conv.flow)
    if conv.root_weight:
        out = out + conv.lin_r(x)
    return functional.normalize(out, p=2.0, dim=-1) if conv.normalize else out


def gin(conv: GINConv, x: Tensor, graph: Graph) -> Tensor:
    """As `GINConv`."""
    out: Tensor = conv.nn(graph.neighbor_sum(x, conv.flow) + (1 + conv.eps) * x)
    return out


def graph_conv(conv: GraphConv, x: Tensor, graph: Graph) -> Tensor:
    """As `GraphConv`; the linear map goes first as in `sage`."""
    summed = _summed_and_mapped(conv.lin_rel, x, graph.neighbor_sum, conv.flow)
    out: Tensor = summed + conv.lin_root(x)
    return out


def gat(conv: GATConv, x: Tensor, graph: PaddedGraph) -> Tensor:
    """As `GATConv` without edge features: each node attends over its in-neighbours."""
    (b, m), heads = graph.adj.shape[:2], conv.heads
    projected = graph.blocks(conv.lin(x)).view(b, m, heads, conv.out_channels)
    source = (projected * conv.att_src).sum(-1)  # [B, M, H]
    target = (projected * conv.att_dst).sum(-1)
    linked = graph.adj != 0  # [B, source, target]
    if conv.add_self_loops:
        linked = linked | torch.eye(m, dtype=torch.bool, device=x.device)
    alpha = functional.leaky_relu(
        source.unsqueeze(2) + target.unsqueeze(1), conv.negative_slope
    )
    apart = ~linked.unsqueeze(-1)
    alpha = alpha.masked_fill(apart, torch.finfo(alpha.dtype).min).softmax(1)
    alpha = alpha.masked_fill(apart, 0)  # for a node with no in-neighbour at all
    alpha = functional.dropout(alpha, conv.dropout, conv.training)
    out = torch.einsum("bijh,bihc->bjhc", alpha, projected)
    out = graph.rows(out.flatten(2) if conv.concat else out.mean(2))
    if conv.res is not None:
        out = out + conv.res(x)
    return out if conv.bias is None else out + conv.bias


def _degree(conv: MessagePassing, graph: Graph) -> Tensor:
    """Of each node, over the edges on which it receives."""
    to_target = conv.flow == "source_to_target"
    return graph.in_degree if to_target else graph.out_degree


def _summed_and_mapped(
    lin: Module, source: Tensor, aggregate: Callable[[Tensor, str], Tensor], flow: str
) -> Tensor:
    """`lin(aggregate(source))`, by the order that sums fewer channels."""
    if not (_is_plain(lin) and _narrows(lin, source)):
        out: Tensor = lin(aggregate(source, flow))
        return out
    out = aggregate(functional.linear(source, lin.weight), flow)
    return out if lin.bias is None else out + lin.bias


def _is_plain(lin: Module) -> TypeGuard[Linear]:
    """Whether it is a linear map and nothing else, without hooks."""
    return type(lin) is Linear and not has_call_hooks(lin)


def _narrows(lin: Linear, source: Tensor) -> bool:
    """Whether fewer channels are summed behind the linear map than before it.

    Its result is summed forward and the gradient backward; `source` only forward
    where it needs no gradient.
    """
    sums = 2 if torch.is_grad_enabled() and not source.requires_grad else 1
    return bool(lin.in_channels > sums * lin.out_channels)


def _plain_gat(conv: GATConv, graph: Graph) -> bool:
    return (
        isinstance(graph, PaddedGraph)
        and not graph.is_weighted
        and conv.edge_dim is None
        and conv.lin is not None
        and conv.flow == "source_to_target"
    )


def has_call_hooks(conv: Module) -> bool:
    """Whether hooks wait for the module to be called."""
    return any(vars(conv)[name] for name in _CALL_HOOKS)


def _is_watched(conv: MessagePassing) -> bool:
    """Whether the user waits for calls within the layer, which a rule does not make."""
    kinds = ("forward_hooks", "forward_pre_hooks", "explain_message")
    inner = ((n, v) for n, v in vars(conv).items() if n not in _CALL_HOOKS)
    return any(name.endswith(kinds) and bool(value) for name, value in inner)
