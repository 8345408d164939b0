"""What a sparse mini-batch must be."""

import sys

import torch
from torch import Tensor

from pyg_diffpool._checks.tensors import (
    check_float,
    check_integer,
    check_same_device,
    check_same_dtype,
    values_visible,
)
from pyg_diffpool.ops.ascent import ascends_within


def check_flat(
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None,
    batch: Tensor | None,
    batch_size: int | None,
    visible: bool,
) -> None:
    """All that a sparse mini-batch must be, the range of its edges apart."""
    check_same_device(x=x, adj=edge_index, edge_weight=edge_weight, batch=batch)
    check_not_empty(x.size(0))
    check_edges(edge_index, edge_weight)
    check_same_dtype(x=x, edge_weight=edge_weight)
    check_batch(batch, batch_size, x.size(0), visible)


def check_nodes(
    x: Tensor, width: int, batch: Tensor | None, batch_size: int | None
) -> None:
    """Float features of a given width, -1 being any, and the graph of each node."""
    check_float("x", x, (2,))
    if x.size(1) != width != -1:
        raise ValueError(
            f"Expected 'x' of shape [N, {width}], as wide as 'in_channels' (got "
            f"{list(x.shape)})."
        )
    check_same_device(x=x, batch=batch)
    check_not_empty(x.size(0))
    check_batch(batch, batch_size, x.size(0), values_visible(x, check=False))


def check_not_empty(num_nodes: int) -> None:
    """At least one node."""
    if num_nodes == 0:
        raise ValueError(
            "Expected a mini-batch of at least one node (got 0 nodes). Skip empty "
            "mini-batches, e.g. with 'drop_last'."
        )


def check_edges(edge_index: Tensor, edge_weight: Tensor | None) -> None:
    """`edge_index` `[2, E]`, integer; `edge_weight` `[E]`."""
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise ValueError(
            "Expected 'edge_index' of shape [2, E] (got "
            f"{list(edge_index.shape)}). A dense adjacency must be floating-point."
        )
    if edge_index.dtype != torch.long:
        raise TypeError(
            f"Expected 'edge_index' to be torch.int64 (got {edge_index.dtype}). "
            "Cast it with 'edge_index.long()'."
        )
    num_edges = edge_index.size(1)
    if edge_weight is not None:
        check_float("edge_weight", edge_weight, (1,))
        if edge_weight.size(0) != num_edges:
            raise ValueError(
                f"Expected 'edge_weight' of length E = {num_edges} (got "
                f"{edge_weight.size(0)}): one weight for each column of 'edge_index'."
            )


def check_range(edge_index: Tensor, num_nodes: int) -> None:
    """`edge_index` `[2, E]` within the nodes."""
    if edge_index.numel() == 0:
        return
    low, high = (int(v) for v in edge_index.aminmax())
    if low < 0 or high >= num_nodes:
        raise ValueError(
            f"Expected 'edge_index' between 0 and N - 1 = {num_nodes - 1} (got "
            f"{low} to {high}): 'x' has {num_nodes} rows, one for each node."
        )


def check_batch(
    batch: Tensor | None, batch_size: int | None, num_nodes: int, visible: bool
) -> None:
    """`batch` `[N]`, integer, ascending from 0 or above to below `batch_size`."""
    check_integer("batch_size", batch_size)
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"Expected 'batch_size' of at least 1 (got {batch_size}).")
    if batch is None:
        if batch_size not in (None, 1):
            raise ValueError(
                f"Expected 'batch' for a 'batch_size' of {batch_size} (got None). "
                "Without 'batch', all nodes are one graph."
            )
        return
    if batch.dtype != torch.long:
        raise TypeError(f"Expected 'batch' to be torch.int64 (got {batch.dtype}).")
    if batch.shape != (num_nodes,):
        raise ValueError(
            f"Expected 'batch' of shape [N] = [{num_nodes}], one entry for each row "
            f"of 'x' (got {list(batch.shape)})."
        )
    if num_nodes == 0 and batch_size is None:
        raise ValueError(
            "Expected 'batch_size' where there is no node (got None): an empty 'batch' "
            "does not tell how many graphs there are."
        )
    if not visible or not num_nodes:
        return
    if ascends_within(batch, sys.maxsize if batch_size is None else batch_size):
        return
    if not ascends_within(batch, sys.maxsize):
        raise ValueError(
            f"Expected 'batch' to ascend from 0 (got {_first_descent(batch)}). Sort "
            "the nodes by graph first; PyG's DataLoader yields them so."
        )
    raise ValueError(
        f"Expected entries of 'batch' below 'batch_size' = {batch_size} (got "
        f"{int(batch[-1])})."
    )


def _first_descent(batch: Tensor) -> str:
    if int(batch.min()) < 0:
        return f"the negative entry {int(batch.min())}"
    at = int((batch[1:] < batch[:-1]).nonzero()[0])
    return f"{int(batch[at])} before {int(batch[at + 1])} at position {at}"


def check_same_graph(edge_index: Tensor, batch: Tensor) -> None:
    """No edge from one graph to another."""
    source, target = (batch.index_select(0, ends) for ends in edge_index)
    if torch.equal(source, target):
        return
    edge = int((source != target).nonzero()[0])
    i, j = edge_index[:, edge].tolist()
    raise ValueError(
        f"Expected every edge to stay within its graph (got an edge from node {i} "
        f"of graph {int(source[edge])} to node {j} of graph {int(target[edge])}). "
        "Do 'edge_index' and 'batch' belong together?"
    )


def check_rows(x: Tensor, s: Tensor) -> None:
    """An `s` `[N, K]` that goes with a flat `x`."""
    check_same_device(x=x, s=s)
    check_same_dtype(x=x, s=s)
    n = x.size(0)
    if s.dim() != 1 + s.is_floating_point() or s.size(0) != n:
        raise ValueError(
            f"Expected 's' of shape [N, K] = [{n}, K], or [N] if integer, with a row "
            f"for each row of 'x' (got {list(s.shape)})."
        )
