"""The forms in which PyG passes an adjacency, made into edges.

PyG's sparse tensors are transposed (`adj_t`: rows are targets), its edge lists are not
(`edge_index[0]` are sources), and a dense `adj[b, i, j]` is the edge from `i` to `j`.
"""

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import Adj, SparseTensor
from torch_geometric.utils import is_torch_sparse_tensor, to_edge_index


def is_dense(adj: Adj) -> bool:
    """Whether `adj` is a dense adjacency rather than an edge list or sparse tensor."""
    return (
        isinstance(adj, Tensor)
        and adj.layout == torch.strided
        and adj.is_floating_point()
    )


def to_edges(
    adj: Adj, edge_weight: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """The edge list `[2, E]` and its weights `[E]` or `None`.

    A sparse tensor always has values; ones without a gradient are no weights. They are
    read back from the device.

    Raises:
        TypeError: If `adj` is of no form that PyG knows.
        ValueError: If a sparse tensor comes with `edge_weight` beside it, or with
            values that are not one number an edge.
    """
    if isinstance(adj, SparseTensor):
        row, col, value = adj.coo()
    elif isinstance(adj, Tensor) and is_torch_sparse_tensor(adj):
        (row, col), value = to_edge_index(adj)
    elif isinstance(adj, EdgeIndex):
        return adj.as_tensor(), edge_weight
    elif isinstance(adj, Tensor):
        return adj, edge_weight
    else:
        raise TypeError(
            "Expected 'adj' to be an edge list [2, E], a sparse tensor or a dense "
            f"adjacency [B, M, M] (got {type(adj).__name__})."
        )
    if edge_weight is not None:
        raise ValueError(
            "Expected no 'edge_weight' beside a sparse 'adj' (got one of shape "
            f"{list(edge_weight.shape)}): its values are the weights."
        )
    if value is not None and value.dim() != 1:
        raise ValueError(
            "Expected one value for each edge of a sparse 'adj' (got values of shape "
            f"{list(value.shape)})."
        )
    return torch.stack([col, row]), None if _are_ones(value) else value


def _are_ones(value: Tensor | None) -> bool:
    if value is None or value.requires_grad or torch.compiler.is_compiling():
        return False
    return bool((value == 1).all())
