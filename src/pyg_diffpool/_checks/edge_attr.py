"""What a sparse `adj` and edge features must be."""

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.typing import SparseTensor

from pyg_diffpool._checks.tensors import (
    check_float,
    check_same_device,
    check_same_dtype,
)


def check_edge_attr(
    edge_attr: Tensor | None, x: Tensor, shape: tuple[int, ...]
) -> None:
    """`edge_attr` `[E, D]`, or `[B, M, M, D]`, D >= 1; `shape` is all but D."""
    if edge_attr is None:
        return
    check_float("edge_attr", edge_attr, (2, 4))
    check_same_device(x=x, edge_attr=edge_attr)
    check_same_dtype(x=x, edge_attr=edge_attr)
    if edge_attr.shape[:-1] != shape or edge_attr.size(-1) < 1:
        wanted = ", ".join(map(str, shape))
        form = "[E, D]" if len(shape) == 1 else "[B, M, M, D]"
        raise ValueError(
            f"Expected 'edge_attr' of shape {form} = [{wanted}, D] with D >= 1 (got "
            f"{list(edge_attr.shape)}): one row of features for each edge."
        )


def check_edge_list(adj: object, edge_attr: Tensor | None) -> None:
    """An edge list beside sparse `edge_attr`, since that has an order of edges."""
    if edge_attr is None or isinstance(adj, EdgeIndex):
        return
    if not isinstance(adj, Tensor) or adj.layout != torch.strided:
        raise ValueError(
            "Expected an edge list 'edge_index' beside 'edge_attr' (got a sparse "
            "'adj', whose edges are in an order of its own). Use "
            "'torch_geometric.utils.to_edge_index' first."
        )


def check_square(adj: object, num_nodes: int) -> None:
    """A sparse `adj`, if it is one, of `[N, N]`."""
    if isinstance(adj, SparseTensor):
        shape = [*adj.sparse_sizes()]
    elif isinstance(adj, Tensor) and adj.layout != torch.strided:
        shape = [*adj.shape[:2]]
    else:
        return
    if shape != [num_nodes, num_nodes]:
        raise ValueError(
            f"Expected a sparse 'adj' of shape [N, N] = [{num_nodes}, {num_nodes}] "
            f"(got {shape}): 'x' has {num_nodes} rows, one for each node."
        )


def check_no_negative_weight(name: str, weight: Tensor) -> None:
    """Weights that can weigh a mean."""
    if bool((weight < 0).any()):
        raise ValueError(
            f"Expected '{name}' of at least 0 for edge_reduce='mean' (got "
            f"{float(weight.min())}): it weighs the mean. Use edge_reduce='sum'."
        )
