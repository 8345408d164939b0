"""Assignment, backend and losses put together, for flat and for padded input."""

import torch
from torch import Tensor

from pyg_diffpool import _checks, losses
from pyg_diffpool.assignment import assign, cluster_mask, mask_logits, num_columns
from pyg_diffpool.distributed import is_shared, max_over_ranks, sum_over_ranks
from pyg_diffpool.edge_features import pool_flat_edges, pool_padded_edges
from pyg_diffpool.fused import fused_flat, fused_padded
from pyg_diffpool.graphs import FlatGraph, Graph, PaddedGraph
from pyg_diffpool.ops import device, padded_pool, sparse_pool
from pyg_diffpool.options import Backend, Link, Options
from pyg_diffpool.output import DiffPoolOutput
from pyg_diffpool.padding import pad, pad_rows, slots


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
    dtype = _work_dtype(x, s)
    budget = None if num_clusters is None else exists[graph.batch]
    backend = _choose(graph) if options.backend == "auto" else options.backend
    with torch.autocast(x.device.type, enabled=False):
        if backend == "sparse" and _can_fuse(s, dtype, options.link):
            logits = mask_logits(s, budget, dtype)
            level = fused_flat(x.to(dtype), graph.sparse, logits)
            z, adj, p, link_loss, entropy = level
        else:
            p, entropies = assign(s, budget, k, dtype)
            entropy = entropies.sum()
            pool = _on_padded if backend == "padded" else _on_sparse
            z, adj, link_loss = pool(x.to(dtype), p, graph, options.link)
        attr = pool_flat_edges(graph, p, adj, options.edge_reduce, visible)
    scalars = _divide(link_loss, entropy, graph, options)
    return _output(x, z, adj, exists, p, *scalars, attr)


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
    dtype = _work_dtype(x, s)
    budget = None if num_clusters is None else exists.unsqueeze(1)
    z, adj, mask = x.to(dtype), graph.adj.to(dtype), graph.mask
    if mask is not None:
        z = z.masked_fill(~mask.unsqueeze(-1), 0)
    with torch.autocast(x.device.type, enabled=False):
        if _can_fuse(s, dtype, options.link):
            logits = mask_logits(s, budget, dtype)
            z, adj, p, link_loss, entropy = fused_padded(z, adj, logits, mask)
        else:
            p, entropies = assign(s, budget, k, dtype)
            if mask is not None:
                p = p.masked_fill(~mask.unsqueeze(-1), 0)
                entropies = entropies.masked_fill(~mask, 0)
            entropy = entropies.sum()
            z, adj, link_loss = _dense(z, adj, p, mask, options.link)
        attr = pool_padded_edges(graph, p, adj, options.edge_reduce, visible)
    scalars = _divide(link_loss, entropy, graph, options)
    return _output(x, z, adj, exists, p, *scalars, attr)


def _choose(graph: FlatGraph) -> Backend:
    """The faster backend: padded for many tiny, even graphs, sparse for all others.

    Seen on a CPU with one thread, K = 8 and 128 to 1,024 graphs of equal size, time of
    sparse over padded: 1.1 to 1.6 at 8 nodes a graph, 1.1 to 1.2 at 16, 0.8 to 1.0 at
    32, 0.5 to 0.7 at 64; closer to 1 at K = 32 (`python -m benchmarks backends`). On
    other devices the sizes are not looked at.
    """
    if not device.is_readable(graph.batch):
        return "sparse"
    largest, num_nodes = int(graph.max_num_nodes), graph.num_nodes
    even = graph.batch_size * largest <= 2 * num_nodes
    return "padded" if largest <= 16 and even else "sparse"


def _can_fuse(s: Tensor, dtype: torch.dtype, link: Link) -> bool:
    """Whether there is one operation for the whole level; a compiler makes its own."""
    learned = s.is_floating_point() and dtype.itemsize >= 4
    return learned and link == "frobenius" and not torch.compiler.is_compiling()


def _on_sparse(
    x: Tensor, s: Tensor, graph: FlatGraph, link: Link
) -> tuple[Tensor, Tensor, Tensor]:
    sparse = graph.sparse
    pooled = sparse_pool(x, sparse, s)
    if link == "bce":
        loss = losses.sparse_bce(sparse, s)
    else:
        loss = losses.sparse_frobenius(sparse, s, pooled)
    return pooled.x, pooled.adj, loss


def _on_padded(
    x: Tensor, s: Tensor, graph: FlatGraph, link: Link
) -> tuple[Tensor, Tensor, Tensor]:
    sparse, batch = graph.sparse, graph.batch
    edges = torch.stack([sparse.row, sparse.col])
    x, adj, mask = pad(x, edges, batch, sparse.weight, sparse.ptr, None)
    s = pad_rows(s, slots(batch, sparse.ptr, mask.size(1)), *mask.shape)
    return _dense(x, adj, s, mask, link)


def _dense(
    x: Tensor, adj: Tensor, s: Tensor, mask: Tensor | None, link: Link
) -> tuple[Tensor, Tensor, Tensor]:
    pooled_x, pooled_adj = padded_pool(x, adj, s)
    if link == "bce":
        loss = losses.padded_bce(adj, s, mask)
    else:
        loss = losses.padded_frobenius(adj, s, pooled_adj)
    return pooled_x, pooled_adj, loss


def _divide(
    link_loss: Tensor,
    entropy: Tensor,
    graph: Graph,
    options: Options,
) -> tuple[Tensor, Tensor]:
    """The link loss over pairs of nodes, the entropy over nodes, both `[]`."""
    num_nodes, m = graph.num_nodes, graph.max_num_nodes
    num_graphs: int | Tensor = graph.batch_size
    num_pairs = graph.sizes.double().square().sum()
    if options.sync_losses and is_shared():
        norm = options.link == "frobenius"  # squares of norms add up
        counts = (num_pairs.new_tensor(n) for n in (num_nodes, num_graphs))
        link_loss, entropy, num_pairs, num_nodes, num_graphs = sum_over_ranks(
            link_loss.square() if norm else link_loss, entropy, num_pairs, *counts
        )
        link_loss = losses.root(link_loss) if norm else link_loss
        m = max_over_ranks(num_pairs.new_tensor(m))
    if options.normalize == "padded":
        num_nodes = num_graphs * m
        num_pairs = torch.as_tensor(num_nodes * m).double()
    if options.normalize is not False:
        link_loss = link_loss / num_pairs.clamp(min=1)
    return link_loss, entropy / num_nodes


def _output(
    x: Tensor,
    pooled_x: Tensor,
    pooled_adj: Tensor,
    exists: Tensor,
    s: Tensor,
    link_loss: Tensor,
    entropy_loss: Tensor,
    edge_attr: Tensor | None,
) -> DiffPoolOutput:
    """Back from the dtype of the arithmetic; losses stay at float32 or better."""
    dtype = x.dtype
    loss_dtype = torch.promote_types(dtype, torch.float)
    return DiffPoolOutput(
        pooled_x.to(dtype),
        pooled_adj.to(dtype),
        exists,
        s.to(dtype),
        x,
        link_loss.to(loss_dtype),
        entropy_loss.to(loss_dtype),
        None if edge_attr is None else edge_attr.to(dtype),
    )


def _work_dtype(x: Tensor, s: Tensor) -> torch.dtype:
    """The dtype of the arithmetic, on the CPU at least float32."""
    dtype = torch.promote_types(x.dtype, s.dtype) if s.is_floating_point() else x.dtype
    return torch.promote_types(dtype, torch.float) if x.device.type == "cpu" else dtype
