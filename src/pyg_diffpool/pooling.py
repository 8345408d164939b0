"""Checks, choice of the backend and scale of the losses around a level."""

import torch
from torch import Tensor

from pyg_diffpool import _checks
from pyg_diffpool.assignment import cluster_mask, num_columns
from pyg_diffpool.edge_features import pool_flat_edges, pool_padded_edges
from pyg_diffpool.fused import Level
from pyg_diffpool.graphs import FlatGraph, MiniBatch, PaddedGraph
from pyg_diffpool.levels import flat_level, flat_level_by_padding, padded_level
from pyg_diffpool.loss_scale import loss_scale, shared_losses
from pyg_diffpool.ops import device
from pyg_diffpool.options import Backend, Options
from pyg_diffpool.output import DiffPoolOutput


def pool_flat(
    x: Tensor,  # [N, C]
    graph: FlatGraph,
    s: Tensor,  # [N, K]
    num_clusters: int | Tensor | None,  # [B]
    options: Options,
) -> DiffPoolOutput:
    """`diff_pool` for a sparse mini-batch."""
    _checks.check_rows(x, s)
    if _checks.on_request(options.check):
        edges = {"edge_weight": graph.edge_weight, "edge_attr": graph.edge_attr}
        _checks.check_finite(x=x, s=s, **edges)
    visible = _checks.values_visible(x, options.check)
    k = num_columns(s, num_clusters, graph.sizes, visible)
    exists = cluster_mask(graph.sizes, k, num_clusters)
    dtype, budget = _work_dtype(x, s), None if num_clusters is None else exists
    backend = _choose(graph, k) if options.backend == "auto" else options.backend
    pool = flat_level_by_padding if backend == "padded" else flat_level
    with torch.autocast(x.device.type, enabled=False):
        scale = loss_scale(graph, options, _loss_dtype(x))
        level = pool(x.to(dtype), graph, s, budget, k, options.link, scale)
        attr = pool_flat_edges(graph, level.s, level.adj, options.edge_reduce, visible)
    return _output(x, level, exists, attr, graph, options)


def pool_padded(
    x: Tensor,  # [B, M, C]
    graph: PaddedGraph,
    s: Tensor,  # [B, M, K]
    num_clusters: int | Tensor | None,  # [B]
    options: Options,
) -> DiffPoolOutput:
    """`diff_pool` for a padded mini-batch."""
    _checks.check_blocks(x, s, options.backend)
    if _checks.on_request(options.check):
        _checks.check_finite(x=x, adj=graph.adj, s=s, edge_attr=graph.edge_attr)
    visible = _checks.values_visible(x, options.check)
    k = num_columns(s, num_clusters, graph.sizes, visible)
    exists = cluster_mask(graph.sizes, k, num_clusters)
    dtype, budget = _work_dtype(x, s), None if num_clusters is None else exists
    z, adj, mask = x.to(dtype), graph.adj.to(dtype), graph.mask
    if mask is not None:
        z = z.masked_fill(~mask.unsqueeze(-1), 0)
    with torch.autocast(x.device.type, enabled=False):
        scale = loss_scale(graph, options, _loss_dtype(x))
        level = padded_level(z, adj, mask, s, budget, k, options.link, scale)
        attr = pool_padded_edges(
            graph, level.s, level.adj, options.edge_reduce, visible
        )
    return _output(x, level, exists, attr, graph, options)


def _choose(graph: FlatGraph, k: int) -> Backend:
    """The faster backend: padded for tiny, even graphs, sparse for all others.

    Seen on a CPU with one thread, 16 to 1,024 graphs of equal size, time of sparse over
    padded: 1.0 to 2.9 at up to 16 nodes a graph; at 32 nodes and K = 32 1.1 to 1.5 with
    a fifth of all pairs linked, 0.9 to 1.0 with three quarters, and 0.8 to 1.0 at K =
    8; below 0.9 at 64 (`python -m benchmarks backends`). On other devices the sizes are
    not looked at.
    """
    if not device.is_readable(graph.batch):
        return "sparse"
    largest, num_nodes = int(graph.max_num_nodes), graph.num_nodes
    pairs = graph.batch_size * largest**2
    even = pairs <= 2 * num_nodes * largest
    thin = 2 * graph.sparse.row.numel() < pairs
    tiny = largest <= 16 or (largest <= 32 <= k and thin)
    return "padded" if tiny and even else "sparse"


def _output(
    x: Tensor,
    level: Level,
    exists: Tensor,
    edge_attr: Tensor | None,
    graph: MiniBatch,
    options: Options,
) -> DiffPoolOutput:
    """Back from the dtype of the arithmetic."""
    dtype, both = x.dtype, (level.link_loss, level.entropy)
    link_loss, entropy_loss = shared_losses(*both, graph, options, _loss_dtype(x))
    return DiffPoolOutput(
        level.x.to(dtype),
        level.adj.to(dtype),
        exists,
        level.s.to(dtype),
        x,
        link_loss,
        entropy_loss,
        None if edge_attr is None else edge_attr.to(dtype),
    )


def _loss_dtype(x: Tensor) -> torch.dtype:
    """Losses stay at float32 or better."""
    return torch.promote_types(x.dtype, torch.float)


def _work_dtype(x: Tensor, s: Tensor) -> torch.dtype:
    """The dtype of the arithmetic, on the CPU at least float32."""
    dtype = torch.promote_types(x.dtype, s.dtype) if s.is_floating_point() else x.dtype
    return torch.promote_types(dtype, torch.float) if x.device.type == "cpu" else dtype
