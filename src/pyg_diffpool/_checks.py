"""All checks of what users pass in, called once, at the public functions.

Shapes, types and devices are always looked at. Values (index ranges, sortedness) are
looked at on the CPU, where it costs next to nothing; on other devices the look would
wait for the device and happens only on request, as does the search for NaN: with
``check=True`` or the environment variable ``PYG_DIFFPOOL_CHECK=1``.
"""

import os

import torch
from torch import Tensor

from pyg_diffpool.ops.graph import SparseGraph


def on_request(check: bool) -> bool:
    """Whether the costly checks were asked for."""
    return check or os.environ.get("PYG_DIFFPOOL_CHECK", "0") not in ("", "0")


def values_visible(like: Tensor, check: bool) -> bool:
    """Whether values may be looked at: on the CPU always, elsewhere on request."""
    return like.device.type == "cpu" or on_request(check)


def check_float(name: str, value: Tensor, dims: tuple[int, ...]) -> None:
    """A floating-point tensor of one of the given numbers of dimensions."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"Expected '{name}' to be a torch.Tensor (got {type(value).__name__})."
        )
    if not value.is_floating_point():
        raise TypeError(
            f"Expected '{name}' to be floating-point (got {value.dtype}). "
            f"Embed or cast it first, e.g. '{name}.float()'."
        )
    if value.dim() not in dims:
        wanted = " or ".join(map(str, dims))
        raise ValueError(
            f"Expected '{name}' to have {wanted} dimensions (got "
            f"{value.dim()}: {list(value.shape)})."
        )


def check_same_device(**tensors: Tensor | None) -> None:
    """All tensors on one device."""
    devices = {name: t.device for name, t in tensors.items() if t is not None}
    if len(set(devices.values())) > 1:
        listed = ", ".join(f"'{name}' on {device}" for name, device in devices.items())
        raise ValueError(
            f"Expected all tensors on one device (got {listed}). "
            "Move them with '.to(device)'."
        )


def check_same_dtype(**tensors: Tensor | None) -> None:
    """All of one floating-point dtype; autocast mixes them on purpose and may."""
    floats = {
        name: t
        for name, t in tensors.items()
        if t is not None and t.is_floating_point()
    }
    dtypes = {name: t.dtype for name, t in floats.items()}
    devices = {t.device.type for t in floats.values()}
    if len(set(dtypes.values())) > 1 and not any(map(_autocasting, devices)):
        listed = ", ".join(f"'{name}' is {dtype}" for name, dtype in dtypes.items())
        raise TypeError(
            f"Expected tensors of one dtype (got {listed}). "
            "Cast them with '.to(dtype)'."
        )


def _autocasting(device_type: str) -> bool:
    return torch.is_autocast_enabled(device_type)


def check_edges(
    edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int, visible: bool
) -> None:
    """`edge_index` `[2, E]`, integer, in range; `edge_weight` `[E]`."""
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
    if visible and num_edges:
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
    if not visible or not num_nodes:
        return
    if int(batch[0]) < 0 or not bool((batch[1:] >= batch[:-1]).all()):
        raise ValueError(
            f"Expected 'batch' to ascend from 0 (got {_first_descent(batch)}). Sort "
            "the nodes by graph first; PyG's DataLoader yields them so."
        )
    if batch_size is not None and int(batch[-1]) >= batch_size:
        raise ValueError(
            f"Expected entries of 'batch' below 'batch_size' = {batch_size} (got "
            f"{int(batch[-1])})."
        )


def _first_descent(batch: Tensor) -> str:
    if int(batch.min()) < 0:
        return f"the negative entry {int(batch.min())}"
    at = int((batch[1:] < batch[:-1]).nonzero()[0])
    return f"{int(batch[at])} before {int(batch[at + 1])} at position {at}"


def check_edges_within_graphs(graph: SparseGraph, batch: Tensor) -> None:
    """No edge from one graph to another; the edges of a row ascend, so two looks do."""
    if not graph.row.numel():
        return
    occupied = graph.crow[1:] > graph.crow[:-1]
    low = graph.ptr[batch[occupied]]
    high = graph.ptr[batch[occupied] + 1]
    first = graph.col[graph.crow[:-1][occupied]]
    last = graph.col[graph.crow[1:][occupied] - 1]
    crossing = (first < low) | (last >= high)
    if bool(crossing.any()):
        row = int(occupied.nonzero().flatten()[crossing][0])
        column = int(first[crossing][0])
        if bool((first >= low)[crossing][0]):
            column = int(last[crossing][0])
        raise _crossing_edge(batch, row, column)


def _crossing_edge(batch: Tensor, source: int, target: int) -> ValueError:
    return ValueError(
        f"Expected every edge to stay within its graph (got an edge from node {source} "
        f"of graph {int(batch[source])} to node {target} of graph "
        f"{int(batch[target])}). Do 'edge_index' and 'batch' belong together?"
    )


def check_padded(x: Tensor, adj: Tensor, mask: Tensor | None) -> None:
    """`x` `[B, M, C]`, `adj` `[B, M, M]`, `mask` `[B, M]`."""
    check_same_device(x=x, adj=adj, mask=mask)
    check_float("x", x, (3,))
    check_float("adj", adj, (3,))
    check_same_dtype(x=x, adj=adj)
    b, m = x.shape[:2]
    check_not_empty(b * m)
    if adj.shape != (b, m, m):
        raise ValueError(
            f"Expected a dense 'adj' of shape [B, M, M] = [{b}, {m}, {m}] for an 'x' "
            f"of shape {list(x.shape)} (got {list(adj.shape)})."
        )
    check_mask(mask, b, m)


def check_blocks(x: Tensor, s: Tensor, backend: str) -> None:
    """An `s` `[B, M, K]` that goes with a padded `x`."""
    check_same_device(x=x, s=s)
    check_same_dtype(x=x, s=s)
    b, m = x.shape[:2]
    if s.shape[:2] != (b, m) or s.dim() != 2 + s.is_floating_point():
        raise ValueError(
            f"Expected 's' of shape [B, M, K] = [{b}, {m}, K], or [B, M] if integer "
            f"(got {list(s.shape)})."
        )
    if backend == "sparse":
        raise ValueError(
            "Expected an edge list for backend='sparse' (got a dense 'adj'). Use "
            "backend='auto' or turn it into edges with 'to_flat'."
        )


def check_rows(x: Tensor, s: Tensor) -> None:
    """An `s` `[N, K]` that goes with a flat `x`."""
    check_same_device(x=x, s=s)
    check_same_dtype(x=x, s=s)
    n = x.size(0)
    if s.size(0) != n or s.dim() != 1 + s.is_floating_point():
        raise ValueError(
            f"Expected 's' of shape [N, K] = [{n}, K], or [N] if integer, with a row "
            f"for each row of 'x' (got {list(s.shape)})."
        )


def check_mask(mask: Tensor | None, batch_size: int, max_num_nodes: int) -> None:
    """`mask` `[B, M]`, boolean."""
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise TypeError(f"Expected 'mask' to be torch.bool (got {mask.dtype}).")
    if mask.shape != (batch_size, max_num_nodes):
        raise ValueError(
            f"Expected 'mask' of shape [B, M] = [{batch_size}, {max_num_nodes}] (got "
            f"{list(mask.shape)})."
        )


def check_flat(
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None,
    batch: Tensor | None,
    batch_size: int | None,
    visible: bool,
) -> None:
    """All that a sparse mini-batch must be before it is sorted."""
    check_same_device(x=x, adj=edge_index, edge_weight=edge_weight, batch=batch)
    check_not_empty(x.size(0))
    check_edges(edge_index, edge_weight, x.size(0), visible)
    check_same_dtype(x=x, edge_weight=edge_weight)
    check_batch(batch, batch_size, x.size(0), visible)


def check_unused(beside: str, **arguments: object) -> None:
    """Arguments that mean nothing for this form of input."""
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"Expected no '{name}' beside {beside} (got {type(value).__name__}): "
                "it belongs to the other form of input."
            )


def check_finite(**tensors: Tensor | None) -> None:
    """No NaN, no infinity."""
    for name, value in tensors.items():
        if value is None or not value.is_floating_point():
            continue
        bad = ~value.isfinite()
        if bool(bad.any()):
            position = [int(i) for i in bad.nonzero()[0]]
            raise ValueError(
                f"Expected '{name}' to be finite (got {float(value[bad][0])} at "
                f"{position}, {int(bad.sum())} in all). Likely causes: too large a "
                "learning rate, a division by zero in the features, overflow in "
                "half precision."
            )


def check_not_empty(num_nodes: int) -> None:
    """At least one node."""
    if num_nodes == 0:
        raise ValueError(
            "Expected a mini-batch of at least one node (got 0 nodes). Skip empty "
            "mini-batches, e.g. with 'drop_last'."
        )


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """One of a few values."""
    if not any(value is c or value == c for c in choices):
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"Expected '{name}' to be one of {listed} (got {value!r}).")


def check_same_graph(edge_index: Tensor, batch: Tensor) -> None:
    """No edge from one graph to another, for edges in any order."""
    crossing = batch[edge_index[0]] != batch[edge_index[1]]
    if bool(crossing.any()):
        source, target = (int(v) for v in edge_index[:, crossing][:, 0])
        raise _crossing_edge(batch, source, target)
