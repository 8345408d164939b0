"""How a layer receives the edge features of a graph, `D` an edge.

A layer built for D channels of `edge_attr` receives the features, one built for D + 1
the features and the edge weight as the last channel. So a layer for one channel
receives the weights alone where there are no features, see `weights.py`.
"""

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import GENConv, GINEConv, MessagePassing

from pyg_diffpool.conv.signature import hands_edges_on, layers_of, signature_of
from pyg_diffpool.conv.weights import edge_channels


def takes_features(conv: MessagePassing) -> bool:
    """Whether `conv` is built for edge features, of its own width or of the nodes'."""
    if "edge_attr" not in signature_of(conv).names:
        return False
    return edge_channels(conv) is not None or isinstance(conv, GENConv | GINEConv)


def feature_argument(
    conv: MessagePassing,
    features: Tensor,  # [E, D]
    weight: Tensor | None,  # [E]
) -> Tensor:
    """The `edge_attr` of `conv`, `[E, D]`, or with the weights `[E, D + 1]`.

    Raises:
        ValueError: If `conv` is built for another number of channels.
    """
    channels, d = edge_channels(conv), features.size(1)
    if channels is None and isinstance(conv, GENConv):  # which adds them to the nodes'
        channels = conv.out_channels
    if channels is None or channels == d:
        return features
    if channels != d + 1:
        raise ValueError(
            f"Expected a layer with 'edge_dim' = {d}, one for each edge feature, or "
            f"{d + 1}, which adds the edge weight as the last one (got {channels} in "
            f"{conv})."
        )
    if weight is None:
        weight = features.new_ones(features.size(0))
    return torch.cat([features, weight.to(features.dtype).unsqueeze(-1)], 1)


def check_takes_features(edge_attr: Tensor, *gnns: Module | None) -> None:
    """At least one of the GNNs that use edges at all uses edge features.

    Raises:
        ValueError: If none does.
    """
    given = [gnn for gnn in gnns if gnn is not None and _uses_edges(gnn)]
    if not given or any(_uses_features(gnn) for gnn in given):
        return
    d = edge_attr.size(-1)
    raise ValueError(
        f"Expected 'embed' or 'assign' with a layer for 'edge_attr' (got "
        f"{' and '.join(map(str, given))}). Take GATv2Conv, TransformerConv, GINEConv "
        f"or another with 'edge_dim={d}', or {d + 1} to add the edge weight as the "
        "last channel; 'diff_pool' itself pools edge features without any layer."
    )


def _uses_edges(gnn: Module) -> bool:
    return any(layers_of(gnn)) or "edge_index" in signature_of(gnn).names


def _uses_features(gnn: Module) -> bool:
    if any(takes_features(conv) for conv in layers_of(gnn)):
        return True
    return not hands_edges_on(gnn) and "edge_attr" in signature_of(gnn).names
