"""The two kinds of level that layers and models meet, and PyG's own call on them."""

from inspect import signature

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric import nn as pyg

from graphs import sample
from pyg_diffpool import DiffPoolOutput, diff_pool
from pyg_diffpool._minibatch import MiniBatch, PaddedGraph
from pyg_diffpool.conv import call_gnn

C = 4
SAMPLE = sample([5, 3, 7], channels=C)


def pooled_level() -> DiffPoolOutput:
    """Weighted clusters, 3 of one graph and 4 of the others, with gradient."""
    return diff_pool(
        SAMPLE.x,
        SAMPLE.edge_index,
        SAMPLE.s.clone().requires_grad_(),
        batch=SAMPLE.batch,
        num_clusters=torch.tensor([4, 3, 4]),
    )


def by_pyg(
    module: Module,
    x: Tensor,
    edge_index: Tensor,
    batch: Tensor,
    weight: Tensor | None = None,
    edge_attr: Tensor | None = None,
) -> Tensor:
    """The user's own call, on edges, with all that the module takes."""
    first = module[0] if isinstance(module, pyg.Sequential) else module
    if isinstance(module, pyg.DirGNNConv):
        out = module.conv_out(x, edge_index.flip(0), weight)
        return (out + module.conv_in(x, edge_index, weight)) / 2 + module.lin(x)
    if isinstance(module, pyg.AntiSymmetricConv | pyg.DeepGCNLayer):
        return module(x, edge_index, weight)
    if isinstance(first, pyg.GCN2Conv | pyg.FAConv):
        return first(x, x, edge_index, weight)
    offered = {"edge_index": edge_index, "batch": batch, "edge_weight": weight}
    if edge_attr is not None or weight is not None:
        offered["edge_attr"] = weight.unsqueeze(-1) if edge_attr is None else edge_attr
    names = {*signature(module.forward).parameters}
    if isinstance(module, pyg.Sequential):
        names = module.signature.param_dict
    elif isinstance(module, pyg.GPSConv) and module.conv is not None:
        names |= {*signature(module.conv.forward).parameters}
    return module(x, **{k: v for k, v in offered.items() if k in names})


def call_on_rows(module: Module, x: Tensor, graph: MiniBatch) -> Tensor:
    """The result of `call_gnn` for each real node, `[R, C]`."""
    out = call_gnn(module, x, graph)
    return graph.rows(out) if isinstance(graph, PaddedGraph) else out


def gradients(out: Tensor, module: Module, *inputs: Tensor) -> list[Tensor | None]:
    """Of an uneven sum of `out`, by the inputs and then by the parameters."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    return list(
        torch.autograd.grad(
            (out * weights).sum(),
            [*inputs, *parameters],
            allow_unused=True,
            retain_graph=True,
        )
    )
