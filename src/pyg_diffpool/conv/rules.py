"""The arithmetic of PyG's common layers over any graph, with their own weights.

On an unweighted graph each rule equals the layer itself; repeated edges count as their
sum, also loops, of which `GCNConv` keeps one. Where the layer takes edge weights they
mean the same here; where it takes none (`SAGEConv`, `GINConv`), weighted sums stand in
for sums as in PyG's `DenseSAGEConv` and `DenseGINConv`. Messages run along the edges,
as in PyG's sparse layers; its dense layers run against them
(pyg-team/pytorch_geometric#2319), which shows on directed graphs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import BatchNorm1d, Module, functional
from torch_geometric import nn as pyg

from pyg_diffpool._minibatch import MiniBatch

_CALLS = [f"_{k}_hooks" for k in ("forward", "forward_pre", "backward", "backward_pre")]
_HOOKS = ("forward_hooks", "forward_pre_hooks", "explain_message")


class Sums(NamedTuple):
    """A graph as a rule sees it: with masked messages, and for one direction."""

    graph: MiniBatch
    messages: (
        MiniBatch  # the same, or with the weights multiplied by an explainer's mask
    )
    flow: str

    def degree(self) -> Tensor:
        """Of each node, over the edges on which it receives, `[R, 1]`."""
        graph, into = self.graph, self.flow == "source_to_target"
        return graph.in_degree if into else graph.out_degree

    def sum(self, x: Tensor) -> Tensor:
        """Over the neighbours."""
        return self.messages.neighbor_sum(x, self.flow)

    def mean(self, x: Tensor) -> Tensor:
        """Over the neighbours; the degree counts masked edges in full."""
        if self.messages is self.graph:
            return self.graph.neighbor_mean(x, self.flow)
        return self.sum(x) / self.degree().to(x.dtype).clamp(min=1)


def gcn(conv: Any, x: Tensor, sums: Sums) -> Any:
    """As `GCNConv`: a loop for each node that has none, symmetric normalisation."""
    maps_first = not _is_plain(conv.lin) or _narrows(conv.lin, x)
    x = conv.lin(x) if maps_first else x
    degree = sums.degree().to(x.dtype)
    loop = torch.zeros_like(degree)
    if conv.add_self_loops:
        loop = (~sums.graph.has_loop).to(x.dtype).unsqueeze(-1)
    isolated = degree + loop == 0
    scale = (degree + loop).masked_fill(isolated, 1).pow(-0.5).masked_fill(isolated, 0)
    x = scale * x
    out = scale * (sums.sum(x) + loop * x)
    out = out if maps_first else conv.lin(out)
    return out if conv.bias is None else out + conv.bias


def sage(conv: Any, x: Tensor, sums: Sums) -> Any:
    """As `SAGEConv`; a weighted mean divides by the degree, or by 1 if less."""
    source = conv.lin(x).relu() if conv.project else x
    aggregate = sums.mean if conv.aggr == "mean" else sums.sum
    out = _aggregated_and_mapped(conv.lin_l, source, aggregate)
    out = out + conv.lin_r(x) if conv.root_weight else out
    return functional.normalize(out, p=2.0, dim=-1) if conv.normalize else out


def gin(conv: Any, x: Tensor, sums: Sums) -> Any:
    """As `GINConv`."""
    return conv.nn(sums.sum(x) + (1 + conv.eps) * x)


def graph_conv(conv: Any, x: Tensor, sums: Sums) -> Any:
    """As `GraphConv`."""
    return _aggregated_and_mapped(conv.lin_rel, x, sums.sum) + conv.lin_root(x)


Rule = Callable[[Any, Tensor, Sums], Any]
_RULES: dict[type, tuple[Rule, tuple[str, ...]]] = {
    pyg.GCNConv: (gcn, ("add",)),
    pyg.SAGEConv: (sage, ("add", "sum", "mean")),
    pyg.GINConv: (gin, ("add", "sum")),
    pyg.GraphConv: (graph_conv, ("add", "sum")),
}


def find_rule(conv: Any) -> Rule | None:
    """The rule that computes what `conv` computes, or `None` if there is none.

    Subclasses may compute anything, so only the very classes count, of their options
    only those that a rule covers, and none where hooks wait for calls within it.
    """
    rule, aggrs = _RULES.get(type(conv), (None, ()))
    fits = rule is not None and conv.aggr in aggrs
    if fits and rule is gcn:
        fits = conv.normalize and not (conv.improved or conv.cached)
    inner = ((k, v) for k, v in vars(conv).items() if k not in _CALLS)
    return (
        rule if fits and not any(k.endswith(_HOOKS) and v for k, v in inner) else None
    )


def _aggregated_and_mapped(lin: Any, x: Tensor, aggregate: Any) -> Tensor:
    """`lin(aggregate(x))`, by the order that sums fewer channels."""
    if not (_is_plain(lin) and _narrows(lin, x)):
        out: Tensor = lin(aggregate(x))
        return out
    out = aggregate(functional.linear(x, lin.weight))
    return out if lin.bias is None else out + lin.bias


def _is_plain(lin: Module) -> bool:
    return type(lin) is pyg.Linear and not has_hooks(lin)


def has_hooks(module: Module) -> bool:
    """Whether hooks wait for the module to be called."""
    return any(vars(module)[name] for name in _CALLS)


def _narrows(lin: Any, x: Tensor) -> bool:
    """Whether fewer channels are summed behind the linear map than before it.

    Its result is summed forward and the gradient backward; `x` only forward where it
    needs no gradient.
    """
    sums = 2 if torch.is_grad_enabled() and not x.requires_grad else 1
    return bool(lin.in_channels > sums * lin.out_channels)


def batch_norm(norm: BatchNorm1d, real: Tensor, x: Tensor) -> Tensor:
    """What the norm makes of the rows of `x` that are `real`, `[R, 1]`, for all rows.

    One row by itself is normalised by the running statistics, as in PyG's
    `BatchNorm(allow_single_element=True)`.
    """
    mean, var, count = norm.running_mean, norm.running_var, norm.num_batches_tracked
    wide = x.to(torch.promote_types(x.dtype, torch.float))
    if norm.training or mean is None or var is None:
        n = real.sum()
        own_mean = (wide * real).sum(0) / n.clamp(min=1)
        own_var = ((wide - own_mean).square() * real).sum(0) / n.clamp(min=1)
        if mean is None or var is None or count is None:
            mean, var = own_mean, own_var
        else:
            several = n > 1
            count.add_(several)
            rate: Any = (
                1 / count.clamp(min=1) if norm.momentum is None else norm.momentum
            )
            rate = (several * rate).to(mean.dtype)
            unbiased = own_var * (n / (n - 1).clamp(min=1))
            mean.lerp_(own_mean.detach().to(mean.dtype), rate)
            var.lerp_(unbiased.detach().to(var.dtype), rate)
            mean = torch.where(several, own_mean, mean)
            var = torch.where(several, own_var, var)
    out = (wide - mean) * (var + norm.eps).rsqrt()
    return (out * norm.weight + norm.bias if norm.affine else out).to(x.dtype)
