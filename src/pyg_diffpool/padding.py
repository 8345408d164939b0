"""From a sparse mini-batch to a padded one, and back.

Padded form: the nodes of graph b stand in the first `n_b` rows of block b, all other
rows are zero and marked `False` in the mask.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor
from torch_geometric.index import index2ptr

from pyg_diffpool import _checks
from pyg_diffpool.ops import device


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


def batch_pointer(batch: Tensor | None, batch_size: int | None, like: Tensor) -> Tensor:
    """Where each graph starts, `[B + 1]`; `batch_size` saves a look at the device."""
    if batch is None:
        return torch.arange(2, device=like.device) * like.size(0)
    if batch_size is None:
        batch_size = cast(int, batch[-1].item()) + 1  # not `int`, which is no symbol
        torch._check(batch_size >= 1)
    if torch.compiler.is_compiling():  # where `index2ptr` wants B to be a constant
        graphs = torch.arange(batch_size + 1, device=batch.device)
        return torch.searchsorted(batch, graphs)
    ptr: Tensor = index2ptr(batch, batch_size)
    return ptr


def slots(
    batch: Tensor,  # [N]
    ptr: Tensor,  # [B + 1]
    max_num_nodes: int,
) -> Tensor:
    """The row of each node among the `B * M` rows of the padded form, `[N]`."""
    position = torch.arange(batch.numel(), device=batch.device) - ptr[batch]
    fits = (position < max_num_nodes).all()
    if device.is_readable(batch) and not bool(fits):
        raise ValueError(
            f"Expected graphs of at most 'max_num_nodes' = {max_num_nodes} nodes (got "
            f"one of {int(position.max()) + 1}). Give a larger 'max_num_nodes'."
        )
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

    :math:`A_{bij}` is the sum of the weights of all edges from node i to node j of
    graph b, in the dtype of `x`. Differentiable in `x` and `edge_weight`. With
    `max_num_nodes` and `batch_size` given, nothing is read back from the device.

    Args:
        x: Node features, `[N, C]`.
        edge_index: Sources and targets, `[2, E]`, each edge within one graph.
        batch: The graph of each node, `[N]`, ascending. `None` is a single graph.
            (default: `None`)
        edge_weight: Edge weights, `[E]`; `None` stands for ones. (default: `None`)
        max_num_nodes: Rows of each block, `M`; `None` is the size of the largest
            graph. (default: `None`)
        batch_size: Number of graphs, `B`; graphs at the end of the mini-batch may
            have no nodes. `None` is `batch[-1] + 1`. (default: `None`)

    Returns:
        The named tuple `(x [B, M, C], adj [B, M, M], mask [B, M])`.

    Raises:
        TypeError: If `x` is not floating-point or an index is not int64.
        ValueError: If shapes do not fit, an index is out of range, `batch` does not
            ascend, or a graph has more than `max_num_nodes` nodes.

    Example:
        >>> import torch
        >>> from pyg_diffpool import to_padded
        >>> x = torch.tensor([[1.0], [2.0], [3.0]])
        >>> edge_index = torch.tensor([[0, 1], [1, 0]])
        >>> out = to_padded(x, edge_index, batch=torch.tensor([0, 0, 1]))
        >>> out.x.squeeze(-1)
        tensor([[1., 2.],
                [3., 0.]])
        >>> out.adj[0]
        tensor([[0., 1.],
                [1., 0.]])
        >>> out.mask
        tensor([[ True,  True],
                [ True, False]])
    """
    _checks.check_float("x", x, (2,))
    _checks.check_integer("max_num_nodes", max_num_nodes)
    visible = _checks.values_visible(x, check=False)
    _checks.check_flat(x, edge_index, edge_weight, batch, batch_size, visible)
    ptr = batch_pointer(batch, batch_size, x)
    if batch is None:
        batch = x.new_zeros(x.size(0), dtype=torch.long)
    if visible:
        _checks.check_range(edge_index, x.size(0))
        _checks.check_same_graph(edge_index, batch)
    if max_num_nodes is None:
        max_num_nodes = int(ptr.diff().max())
    slot = slots(batch, ptr, max_num_nodes)
    b = ptr.numel() - 1
    return pad(x, edge_index, edge_weight, slot, b, max_num_nodes)


def pad(
    x: Tensor,  # [N, C]
    edge_index: Tensor,  # [2, E]
    edge_weight: Tensor | None,  # [E]
    slot: Tensor,  # [N], see `slots`
    batch_size: int,
    max_num_nodes: int,
) -> Padded:
    """`to_padded` for what has been checked."""
    b, m = batch_size, max_num_nodes
    mask = torch.zeros(b * m, dtype=torch.bool, device=x.device)
    mask[slot] = True
    row, col = edge_index
    entry = slot[row] * m + slot[col] % max(m, 1)
    if edge_weight is None:
        edge_weight = x.new_ones(row.numel())
    adj = x.new_zeros(b * m * m).index_add(0, entry, edge_weight.to(x.dtype))
    return Padded(pad_rows(x, slot, b, m), adj.view(b, m, m), mask.view(b, m))


def pad_rows(rows: Tensor, slot: Tensor, batch_size: int, max_num_nodes: int) -> Tensor:
    """`[N, *]` to `[B, M, *]`, zeros where there is no node."""
    out = rows.new_zeros(batch_size * max_num_nodes, rows.size(1))
    return out.index_copy(0, slot, rows).view(batch_size, max_num_nodes, rows.size(1))


def to_flat(
    x: Tensor,  # [B, M, C]
    adj: Tensor,  # [B, M, M]
    mask: Tensor | None = None,  # [B, M]
) -> Flat:
    r"""Turn padded dense blocks into a sparse mini-batch: `to_padded` backwards.

    Every non-zero :math:`A_{bij}` between real nodes becomes an edge from i to j with
    that weight; edges come sorted by source, then target. Differentiable in `x` and
    `adj`. How many nodes and edges there are is read back from the device.

    Args:
        x: Node features, `[B, M, C]`.
        adj: Adjacencies, `[B, M, M]`.
        mask: Which nodes are real, `[B, M]`; `None` is all. (default: `None`)

    Returns:
        The named tuple `(x [N, C], edge_index [2, E], edge_weight [E], batch [N])`.

    Raises:
        TypeError: If `x` or `adj` is not floating-point or `mask` is not boolean.
        ValueError: If shapes do not fit.

    Example:
        >>> import torch
        >>> from pyg_diffpool import to_flat, to_padded
        >>> x = torch.tensor([[1.0], [2.0], [3.0]])
        >>> edge_index = torch.tensor([[0, 1], [1, 0]])
        >>> padded = to_padded(x, edge_index, batch=torch.tensor([0, 0, 1]))
        >>> to_flat(*padded).edge_index
        tensor([[0, 1],
                [1, 0]])
    """
    _checks.check_padded(x, adj, mask)
    b, m = x.shape[:2]
    if mask is None:
        mask = torch.ones(b, m, dtype=torch.bool, device=x.device)
    number = mask.flatten().cumsum(0).view(b, m) - 1
    linked = (adj != 0) & mask.unsqueeze(1) & mask.unsqueeze(2)
    graph, source, target = linked.nonzero(as_tuple=True)
    edge_index = torch.stack([number[graph, source], number[graph, target]])
    return Flat(x[mask], edge_index, adj[graph, source, target], mask.nonzero()[:, 0])
