"""Assignment, backend and losses put together, for flat and for padded input."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pyg_diffpool import _checks, losses
from pyg_diffpool.assignment import assign, cluster_mask, num_columns
from pyg_diffpool.ops import Pooled, SparseGraph, make_graph, padded_pool, sparse_pool
from pyg_diffpool.output import DiffPoolOutput
from pyg_diffpool.padding import batch_pointer, pad, pad_rows, slots

Backend = Literal["auto", "padded", "sparse"]
Link = Literal["frobenius", "bce"]
Normalize = bool | Literal["padded"]


class Options(NamedTuple):
    """The keyword arguments of `diff_pool` that both forms share."""

    num_clusters: int | Tensor | None
    link: Link
    normalize: Normalize
    backend: Backend
    check: bool


def pool_flat(
    x: Tensor,
    edge_index: Tensor,
    edge_weight: Tensor | None,
    s: Tensor,
    batch: Tensor | None,
    batch_size: int | None,
    options: Options,
) -> DiffPoolOutput:
    """`diff_pool` for a sparse mini-batch."""
    visible = _checks.values_visible(x, options.check)
    _checks.check_flat(x, edge_index, edge_weight, s, batch, batch_size, visible)
    if _checks.on_request(options.check):
        _checks.check_finite(x=x, s=s, edge_weight=edge_weight)
    ptr = batch_pointer(batch, batch_size, x)
    if batch is None:
        batch = edge_index.new_zeros(x.size(0))
    sizes = ptr.diff()
    k = num_columns(s, options.num_clusters, sizes.numel(), visible)
    exists = cluster_mask(sizes, k, options.num_clusters)
    dtype = _work_dtype(x, s)
    if edge_weight is not None:
        edge_weight = edge_weight.to(dtype)
    graph = make_graph(edge_index, edge_weight, ptr, x.size(0))
    if visible:
        _checks.check_edges_within_graphs(graph, batch)
    p = assign(s, exists[batch] if options.num_clusters is not None else None, k, dtype)
    pool = _on_padded if options.backend == "padded" else _on_sparse
    pooled, link_loss = pool(x.to(dtype), p, graph, batch, options.link)
    return _output(pooled, p, exists, link_loss, sizes, sizes.max(), x, options)


def _on_sparse(
    x: Tensor, s: Tensor, graph: SparseGraph, _: Tensor, link: Link
) -> tuple[Pooled, Tensor]:
    pooled = sparse_pool(x, graph, s)
    if link == "bce":
        return pooled, losses.sparse_bce(graph, s)
    return pooled, losses.frobenius(
        graph.square_sum, pooled, lambda: losses.sparse_square(graph, s)
    )


def _on_padded(
    x: Tensor, s: Tensor, graph: SparseGraph, batch: Tensor, link: Link
) -> tuple[Pooled, Tensor]:
    edges = torch.stack([graph.row, graph.col])
    x, adj, mask = pad(x, edges, batch, graph.weight, graph.ptr, None)
    s = pad_rows(s, slots(batch, graph.ptr, mask.size(1)), *mask.shape)
    return _dense(x, adj, s, mask, link)


def pool_padded(
    x: Tensor, adj: Tensor, s: Tensor, mask: Tensor | None, options: Options
) -> DiffPoolOutput:
    """`diff_pool` for a padded mini-batch."""
    if x.dim() == 2:
        x, adj, s = x.unsqueeze(0), adj.unsqueeze(0), s.unsqueeze(0)
    visible = _checks.values_visible(x, options.check)
    _checks.check_dense(x, adj, s, mask, options.backend)
    if _checks.on_request(options.check):
        _checks.check_finite(x=x, adj=adj, s=s)
    b, m = x.shape[:2]
    sizes = torch.full((b,), m, device=x.device) if mask is None else mask.sum(1)
    k = num_columns(s, options.num_clusters, b, visible)
    exists = cluster_mask(sizes, k, options.num_clusters)
    dtype = _work_dtype(x, s)
    x, adj = x.to(dtype), adj.to(dtype)
    budget = exists.unsqueeze(1) if options.num_clusters is not None else None
    s = assign(s, budget, k, dtype)
    if mask is not None:
        padding = ~mask.unsqueeze(-1)
        x, s = x.masked_fill(padding, 0), s.masked_fill(padding, 0)
        adj = adj.masked_fill(padding | padding.transpose(1, 2), 0)
    pooled, link_loss = _dense(x, adj, s, mask, options.link)
    return _output(pooled, s, exists, link_loss, sizes, m, x, options)


def _dense(
    x: Tensor, adj: Tensor, s: Tensor, mask: Tensor | None, link: Link
) -> tuple[Pooled, Tensor]:
    pooled = padded_pool(x, adj, s)
    if link == "bce":
        return pooled, losses.padded_bce(adj, s, mask)
    square = torch.linalg.vector_norm(adj, dtype=torch.double).square()
    return pooled, losses.frobenius(
        square, pooled, lambda: losses.padded_square(adj, s)
    )


def _output(
    pooled: Pooled,
    s: Tensor,
    exists: Tensor,
    link_loss: Tensor,
    sizes: Tensor,
    max_num_nodes: Tensor | int,
    x: Tensor,
    options: Options,
) -> DiffPoolOutput:
    """Divide the losses and go back from the dtype of the arithmetic."""
    num_nodes, num_pairs = sizes.sum(), sizes.double().square().sum()
    if options.normalize == "padded":
        num_nodes = num_pairs = sizes.numel() * torch.as_tensor(max_num_nodes)
        num_pairs = num_pairs.double() * max_num_nodes
    if options.normalize is not False:
        link_loss = link_loss / num_pairs.clamp(min=1)
    entropy_loss = losses.entropy(s) / num_nodes.clamp(min=1)
    loss_dtype = torch.promote_types(s.dtype, torch.float)
    return DiffPoolOutput(
        pooled.x.to(x.dtype),
        pooled.adj.to(x.dtype),
        exists,
        s.to(x.dtype),
        link_loss.to(loss_dtype),
        entropy_loss.to(loss_dtype),
    )


def _work_dtype(x: Tensor, s: Tensor) -> torch.dtype:
    """The dtype of the arithmetic, on the CPU at least float32."""
    dtype = torch.promote_types(x.dtype, s.dtype) if s.is_floating_point() else x.dtype
    return torch.promote_types(dtype, torch.float) if x.device.type == "cpu" else dtype
