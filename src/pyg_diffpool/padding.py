"""From a sparse mini-batch to a padded one, and back."""

from typing import NamedTuple

import torch
from torch import Tensor

from pyg_diffpool import _checks, _modes
from pyg_diffpool._graph import batch_pointer


class Padded(NamedTuple):
    """A mini-batch in padded form."""

    x: Tensor  # [B, M, C]
    adj: Tensor  # [B, M, M]
    mask: Tensor  # [B, M]


class Flat(NamedTuple):
    """A mini-batch in PyG's sparse form."""

    x: Tensor  # [N, C]
    edge_index: Tensor  # [2, E]
    edge_weight: Tensor  # [E]
    batch: Tensor  # [N]


def slots(batch: Tensor, ptr: Tensor, max_num_nodes: int) -> Tensor:
    """The row of each node among the `B * M` rows of the padded form, `[N]`."""
    position = torch.arange(batch.numel(), device=batch.device) - ptr[batch]
    fits = (position < max_num_nodes).all()
    if _modes.may_read_values(batch) and not bool(fits):
        what = f"graphs of at most 'max_num_nodes' = {max_num_nodes} nodes"
        got = f"one of {int(position.max()) + 1}"
        raise _checks.wrong(ValueError, what, got, "Give a larger 'max_num_nodes'.")
    # Elsewhere the device itself fails, without anyone waiting for it.
    torch._assert_async(fits, "a graph has more than 'max_num_nodes' nodes")
    return batch * max_num_nodes + position


def to_padded(
    x: Tensor,  # [N, C]
    edge_index: Tensor,  # [2, E]
    batch: Tensor | None = None,  # [N]
    edge_weight: Tensor | None = None,  # [E]
    max_num_nodes: int | None = None,
    batch_size: int | None = None,
) -> Padded:
    r"""Turn a sparse mini-batch into padded dense blocks with a mask.

    Nodes come first in the rows of their block, zeros follow. :math:`A_{bij}` is the
    sum of the weights of all edges from node i to node j of graph b, in the dtype of
    `x`. With both numbers given, nothing is read back from the device.

    Args:
        x: Node features, `[N, C]`.
        edge_index: Sources and targets, `[2, E]`, each edge within one graph.
        batch: The graph of each node, `[N]`, ascending. (default: `None`, one graph)
        edge_weight: Edge weights, `[E]`. (default: `None`, ones)
        max_num_nodes: Rows of each block, M. (default: `None`, the largest graph's)
        batch_size: Number of graphs, B. (default: `None`, `batch[-1] + 1`)

    Returns:
        The named tuple `(x [B, M, C], adj [B, M, M], mask [B, M])`.

    Raises:
        TypeError: If `x` is not floating-point, an index not int64, a number not whole.
        ValueError: If shapes do not fit, an index is out of range, `batch` does not
            ascend, or a graph has more than `max_num_nodes` nodes.

    Example:
        >>> import torch
        >>> from pyg_diffpool import to_padded
        >>> x, edge_index = torch.ones(3, 1), torch.tensor([[0, 1], [1, 0]])
        >>> out = to_padded(x, edge_index, batch=torch.tensor([0, 0, 1]))
        >>> out.adj[0].tolist(), out.mask.tolist()
        ([[0.0, 1.0], [1.0, 0.0]], [[True, True], [True, False]])
    """
    max_num_nodes = _checks.optional_number("max_num_nodes", max_num_nodes)
    batch_size = _checks.optional_number("batch_size", batch_size)
    _checks.check_nodes(x, batch, batch_size)
    _checks.check_edges(edge_index, edge_weight, x)
    ptr = batch_pointer(batch, batch_size, x)
    batch = x.new_zeros(x.size(0), dtype=torch.long) if batch is None else batch
    if _modes.may_check_values(x):
        _checks.check_same_graph(edge_index, batch)
    m = int(ptr.diff().max()) if max_num_nodes is None else max_num_nodes
    return pad(x, edge_index, edge_weight, slots(batch, ptr, m), ptr.numel() - 1, m)


def pad(
    x: Tensor, edge_index: Tensor, weight: Tensor | None, slot: Tensor, b: int, m: int
) -> Padded:
    """`to_padded` for what has been checked, with what `slots` gives."""
    mask = torch.zeros(b * m, dtype=torch.bool, device=x.device)
    mask[slot] = True
    row, col = slot[edge_index]
    weight = x.new_ones(row.numel()) if weight is None else weight.to(x.dtype)
    adj = x.new_zeros(b * m * m).index_add(0, row * m + col % max(m, 1), weight)
    return Padded(pad_rows(x, slot, b, m), adj.view(b, m, m), mask.view(b, m))


def pad_rows(rows: Tensor, slot: Tensor, b: int, m: int) -> Tensor:
    """`[N, *]` to `[B, M, *]`, zeros where there is no node."""
    out = rows.new_zeros(b * m, rows.size(1)).index_copy(0, slot, rows)
    return out.view(b, m, rows.size(1))


def to_flat(x: Tensor, adj: Tensor, mask: Tensor | None = None) -> Flat:
    r"""Turn padded dense blocks into a sparse mini-batch: `to_padded` backwards.

    Every non-zero :math:`A_{bij}` between real nodes becomes an edge from i to j with
    that weight, sorted by source, then target; their number is read from the device.

    Args:
        x: Node features, `[B, M, C]`.
        adj: Adjacencies, `[B, M, M]`.
        mask: Which nodes are real, `[B, M]`. (default: `None`, all)

    Returns:
        The named tuple `(x [N, C], edge_index [2, E], edge_weight [E], batch [N])`.

    Raises:
        TypeError: If `x` or `adj` is not floating-point or `mask` not boolean.
        ValueError: If shapes do not fit, or on the meta device.

    Example:
        >>> import torch
        >>> from pyg_diffpool import to_flat
        >>> adj = torch.tensor([[[0.0, 3.0], [0.0, 0.0]]])
        >>> to_flat(torch.ones(1, 2, 1), adj).edge_index.flatten()
        tensor([0, 1])
    """
    _checks.check_padded(x, adj, mask)
    if x.is_meta:
        raise _checks.wrong(ValueError, "'x' with values", "the device 'meta'")
    b, m = x.shape[:2]
    mask = x.new_ones((b, m), dtype=torch.bool) if mask is None else mask
    number = mask.flatten().cumsum(0).view(b, m) - 1
    linked = (adj != 0) & mask.unsqueeze(1) & mask.unsqueeze(2)
    graph, source, target = linked.nonzero(as_tuple=True)
    edge_index = torch.stack([number[graph, source], number[graph, target]])
    return Flat(x[mask], edge_index, adj[graph, source, target], mask.nonzero()[:, 0])
