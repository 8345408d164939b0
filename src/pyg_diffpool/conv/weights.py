"""How a layer receives the edge weights of a graph."""

from typing import Any

from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import (
    CGConv,
    FAConv,
    FiLMConv,
    GINEConv,
    GMMConv,
    MessagePassing,
    NNConv,
    PNAConv,
    ResGatedGraphConv,
    SplineConv,
    TransformerConv,
)

from pyg_diffpool.conv.signature import signature_of

# Those that fail without edge features where they are built for them.
_NEED_EDGE_ATTR = (
    CGConv,
    GINEConv,
    GMMConv,
    NNConv,
    PNAConv,
    ResGatedGraphConv,
    SplineConv,
    TransformerConv,
)


def edge_arguments(
    conv: MessagePassing,
    edge_index: Tensor,  # [2, E]
    weight: Tensor | None,  # [E]
    given: dict[str, Any],
) -> dict[str, Tensor]:
    """The keyword arguments by which `conv` receives the weights.

    As `edge_weight`, or as `edge_attr` by a layer that is built for edge features of
    one channel; edge features among what is `given` stand for them. On an unweighted
    graph a layer that cannot do without is given ones.

    Raises:
        ValueError: If `conv` cannot use weights, or needs types of edges or nodes,
            or edge features of several channels.
    """
    names = signature_of(conv).names
    _check_types(conv, names, given)
    if isinstance(conv, FAConv) and conv.normalize and weight is not None:
        raise ValueError(_no_weights(conv) + " Or build it with 'normalize=False'.")
    channels = edge_channels(conv) if "edge_attr" in names else None
    if weight is None and "edge_attr" not in given and _needs_weights(conv, channels):
        weight = next(conv.parameters()).new_ones(edge_index.size(1))
    if weight is None:
        return {}
    if "edge_weight" in names:
        return {"edge_weight": weight}
    if "edge_attr" in given:
        return {}
    if channels != 1:
        raise ValueError(_no_weights(conv))
    return {"edge_attr": weight.unsqueeze(-1)}


def _needs_weights(conv: MessagePassing, channels: int | None) -> bool:
    if isinstance(conv, FAConv):
        return not conv.normalize
    return isinstance(conv, _NEED_EDGE_ATTR) and channels is not None


def edge_channels(conv: MessagePassing) -> int | None:
    """How many channels of edge features `conv` is built for, `None` if for none."""
    if isinstance(conv, CGConv | GMMConv | SplineConv):
        return conv.dim or None
    if isinstance(conv, NNConv):
        return _in_channels(conv.nn)
    if isinstance(conv, GINEConv):
        return None if conv.lin is None else _in_channels(conv.lin)
    for name in ("edge_dim", "in_edge_channels"):
        value = getattr(conv, name, None)
        if isinstance(value, int):
            return value
    lin_edge = getattr(conv, "lin_edge", None)
    return None if lin_edge is None else _in_channels(lin_edge)


def _in_channels(network: Module) -> int | None:
    """The width of what the first linear map takes."""
    for module in network.modules():
        for name in ("in_features", "in_channels"):
            value = getattr(module, name, None)
            if isinstance(value, int):
                return value
    return None


def _check_types(
    conv: MessagePassing, names: tuple[str, ...], given: dict[str, Any]
) -> None:
    one_type = isinstance(conv, FiLMConv) and conv.num_relations == 1
    for name in ("edge_type", "node_type"):
        if name in names and name not in given and not one_type:
            raise ValueError(
                f"Expected a layer for graphs without types (got {conv}, which needs "
                f"'{name}'). Take it into a module of your own that supplies them, or "
                "a layer without types, such as GCNConv."
            )


def _no_weights(conv: MessagePassing) -> str:
    return (
        "Expected a layer that uses edge weights, one number an edge, which all pooled "
        f"graphs have (got {conv}). Take GCNConv, GraphConv, GINConv or SAGEConv with "
        "mean or sum aggregation, or a layer with 'edge_dim=1', which receives the "
        "weights as 'edge_attr'."
    )
