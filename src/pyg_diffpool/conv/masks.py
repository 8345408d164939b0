"""The edge masks that PyG's explainers set on `MessagePassing` layers.

A mask has one number for each edge of the input and multiplies the messages along it.
Edges of pooled graphs have none, so on padded graphs the masks are switched off.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import MessagePassing

from pyg_diffpool.conv.signature import layers_of
from pyg_diffpool.graphs import FlatGraph


@contextmanager
def masks_off(module: Module) -> Iterator[None]:
    """Run without the edge masks of the layers of `module`."""
    explained = _explained(module)
    for conv in explained:
        conv.explain = None
    try:
        yield
    finally:
        for conv in explained:
            conv.explain = True


def masked_edges(graph: FlatGraph, *modules: Module | None) -> FlatGraph:
    """The graph with its edge weights multiplied by the mask, if a layer has one.

    Raises:
        ValueError: If the mask is one for other edges.
    """
    for conv in (conv for m in modules if m is not None for conv in _explained(m)):
        mask = conv._edge_mask
        num_edges = graph.edge_index.size(1)
        if mask is None or mask.numel() != num_edges:
            raise ValueError(
                f"Expected an edge mask for each of the {num_edges} edges (got "
                f"{None if mask is None else list(mask.shape)} on {conv}). On layers "
                "that run on other edges than those of the input, set "
                "'layer.explain = False' before explaining."
            )
        return graph.weighted(mask.sigmoid() if conv._apply_sigmoid else mask)
    return graph


@dataclass(frozen=True)
class MaskedGraph(FlatGraph):
    """A sparse mini-batch with masked messages; degrees stay those of all edges."""

    messages: FlatGraph

    def neighbor_sum(self, x: Tensor, flow: str) -> Tensor:
        """Over the masked edges."""
        return self.messages.neighbor_sum(x, flow)


def masked_messages(graph: FlatGraph, conv: MessagePassing) -> FlatGraph:
    """The graph as a rule for an explained layer is to see it."""
    messages = masked_edges(graph, conv)
    if messages is graph:
        return graph
    fields = (graph.edge_index, graph.edge_weight, graph.sparse, graph.batch)
    return MaskedGraph(*fields, graph.edge_attr, messages)


def _explained(module: Module) -> list[MessagePassing]:
    return [conv for conv in layers_of(module) if conv.explain]
