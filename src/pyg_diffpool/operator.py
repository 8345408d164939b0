"""The DiffPool operator, for every form of input."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch_geometric.typing import Adj

from pyg_diffpool import _checks, _modes
from pyg_diffpool._edge_features import pool_edge_features
from pyg_diffpool._level import Level, cluster_mask, to_logits
from pyg_diffpool._losses import Losses, padded_bce, sparse_bce
from pyg_diffpool._minibatch import FlatGraph, MiniBatch, PaddedGraph, to_graph
from pyg_diffpool._padded_level import looks_at_mask, padded_level
from pyg_diffpool._pooled_adjacency import normalized
from pyg_diffpool._sparse_level import sparse_level
from pyg_diffpool.output import DiffPoolOutput
from pyg_diffpool.padding import pad, pad_rows, slots

Backend = Literal["auto", "padded", "sparse"]
Link = Literal["frobenius", "bce"]
Normalize = bool | Literal["padded"]
EdgeReduce = Literal["sum", "mean"]
PooledAdj = Literal["raw", "normalized"]


class Options(NamedTuple):
    """The keyword arguments of `diff_pool` that both forms share."""

    link: Link = "frobenius"
    normalize: Normalize = True
    backend: Backend = "auto"
    check: bool = False
    sync_losses: bool = False
    edge_reduce: EdgeReduce = "sum"
    pooled_adj: PooledAdj = "raw"

    def validate(self) -> None:
        """Raise a `ValueError` for a choice that does not exist."""
        _checks.check_choice("link", self.link, ("frobenius", "bce"))
        _checks.check_choice("normalize", self.normalize, (True, False, "padded"))
        _checks.check_choice("backend", self.backend, ("auto", "padded", "sparse"))
        _checks.check_choice("edge_reduce", self.edge_reduce, ("sum", "mean"))
        _checks.check_choice("pooled_adj", self.pooled_adj, ("raw", "normalized"))


def diff_pool(
    x: Tensor,  # [N, C] or [B, M, C]
    adj: Adj,  # [2, E], sparse [N, N], or [B, M, M]
    s: Tensor,  # [N, K] or [B, M, K]
    *,
    edge_weight: Tensor | None = None,  # [E]
    edge_attr: Tensor | None = None,  # [E, D] or [B, M, M, D]
    batch: Tensor | None = None,  # [N]
    mask: Tensor | None = None,  # [B, M]
    batch_size: int | None = None,
    num_clusters: int | Tensor | None = None,  # [B]
    link: Link = "frobenius",
    normalize: Normalize = True,
    edge_reduce: EdgeReduce = "sum",
    pooled_adj: PooledAdj = "raw",
    backend: Backend = "auto",
    check: bool = False,
    sync_losses: bool = False,
) -> DiffPoolOutput:
    r"""Pool every graph of a mini-batch to K clusters by a learned assignment.

    `"Hierarchical Graph Representation Learning with Differentiable Pooling"
    <https://arxiv.org/abs/1806.08804>`_ (Ying et al. 2018), equations 3 and 4:

    .. math::
        S = \mathrm{softmax}(\mathtt{s}), \quad
        X' = S^{\top} X, \quad
        A' = S^{\top} A S

    with the auxiliary losses :math:`\|A - SS^\top\|_F` and the mean entropy of the
    rows of S. Input is either sparse, as PyG's `DataLoader` yields it, or padded.
    Padding changes none of the results, unless `normalize="padded"` asks for it;
    repeated edges count as their sum.

    Args:
        x: Node features, `[N, C]`, or padded `[B, M, C]`.
        adj: With sparse `x` an edge list `[2, E]` (sources, targets), a
            `torch_geometric.EdgeIndex`, or a torch sparse tensor or
            `torch_sparse.SparseTensor` `[N, N]`, which as everywhere in PyG is
            transposed; with padded `x` the dense adjacency `[B, M, M]`.
        s: Assignment logits, `[N, K]` or `[B, M, K]`; the softmax is taken here.
            Or, as int64 of shape `[N]` or `[B, M]`, the one cluster of each node.
        edge_weight: Edge weights, `[E]`, beside an edge list. (default: `None`)
        edge_attr: Edge features, `[E, D]` beside an edge list, or `[B, M, M, D]`
            beside a dense `adj`, 0 where there is no edge; pooled to
            `[B, K, K, D]`, see `edge_reduce`. (default: `None`)
        batch: The graph of each node, `[N]`, ascending; `None` is a single graph.
            (default: `None`)
        mask: Which rows of padded input are nodes, `[B, M]`. (default: `None`)
        batch_size: Number of graphs. Given, it need not be read from `batch` on the
            device, and last graphs may be empty. (default: `None`)
        num_clusters: A budget of clusters, for every graph or one for each `[B]`:
            columns of S past it get no mass. Beside integer `s` an `int` is K.
            (default: `None`, all K)
        link: The link prediction loss, `"frobenius"`, or `"bce"`, the cross-entropy of
            the paper's reference code (on the sparse backend over all edges and as many
            sampled pairs). (default: `"frobenius"`)
        normalize: Divide the link loss by the number of real pairs of nodes,
            :math:`\sum_b n_b^2` (`True`), not at all (`False`), or divide both losses
            by sizes that count padding, as PyG does (`"padded"`). (default: `True`)
        edge_reduce: What becomes of `edge_attr` :math:`F` over the edges e from i to
            j: `"sum"` is :math:`\sum_e S_{ik} S_{jl} F_e`, whatever the edge weights;
            `"mean"`, which keeps the scale of the features,
            :math:`\sum_e w_e S_{ik} S_{jl} F_e / A'_{kl}` for edge weights of at least
            0, or 0 where :math:`A'_{kl} < 10^{-30}`. (default: `"sum"`)
        pooled_adj: `"raw"` is :math:`A'`, on whose diagonal are the edges within each
            cluster; `"normalized"` clears that and divides by degrees, as MinCutPool,
            :math:`D_{out}^{-1/2} \hat A D_{in}^{-1/2}` with
            :math:`\hat A = A' - \mathrm{diag}(A')` and sums of absolute values as
            degrees, or 0 where one is 0. Without these edges the features within
            clusters reach no layer. (default: `"raw"`)
        backend: `"sparse"`, `"padded"`, or `"auto"`. (default: `"auto"`)
        check: Also look for NaN and infinity, and look at index values where this
            waits for the device; outside compiled code so does
            ``PYG_DIFFPOOL_CHECK=1``. (default: `False`)
        sync_losses: Sum what the losses are made of over all processes of
            `torch.distributed`: each then has the losses of one process on the joined
            mini-batch, and by `DistributedDataParallel` their gradients, which no
            choice of `normalize` gives. All processes must call alike; under
            `torch.no_grad` nothing is exchanged. (default: `False`)

    Returns:
        A :class:`DiffPoolOutput`.

    Raises:
        TypeError: If a dtype does not fit (integer `x`, indices not int64, mixed
            floating-point dtypes outside autocast).
        ValueError: If shapes do not fit, an index is out of range, `batch` does not
            ascend, an edge joins two graphs, the mini-batch has no nodes, devices
            are mixed, a weight is negative beside `edge_reduce="mean"`, or, on
            request, a value is not finite.

    Example:
        >>> import torch
        >>> from pyg_diffpool import diff_pool
        >>> x, s = torch.randn(5, 8), torch.randn(5, 2)
        >>> edge_index = torch.tensor([[0, 1, 3, 4], [1, 0, 4, 3]])
        >>> batch = torch.tensor([0, 0, 0, 1, 1])
        >>> out = diff_pool(x, edge_index, s, batch=batch)
        >>> out.x.shape, out.adj.shape
        (torch.Size([2, 2, 8]), torch.Size([2, 2, 2]))
    """
    choices = link, normalize, backend, check, sync_losses, edge_reduce, pooled_adj
    options = Options(*choices)
    options.validate()
    given = edge_weight, edge_attr, batch, mask, batch_size, check
    x, s, graph = to_graph(x, adj, s, *given)
    return pool(x, graph, s, num_clusters, options)


def pool(
    x: Tensor,  # [N, C] or [B, M, C]
    graph: MiniBatch,
    s: Tensor,  # [N, K] or [B, M, K], or clusters [N] or [B, M]
    num_clusters: int | Tensor | None,  # [B]
    options: Options,
) -> DiffPoolOutput:
    """`diff_pool` for a mini-batch that has been checked."""
    _checks.check_assignment(s, x)
    if _modes.asks_for_checks(x, options.check):
        _checks.check_finite(x=x, s=s, **graph.features())
    if not (isinstance(num_clusters, Tensor) and num_clusters.dim()):
        num_clusters = _checks.optional_number("num_clusters", num_clusters)
    may_look = _modes.may_check_values(x, options.check)
    k = _checks.num_columns(s, num_clusters, graph.sizes, may_look)
    exists, budget = cluster_mask(graph.sizes, k, num_clusters), None
    if num_clusters is not None:
        is_flat = isinstance(graph, FlatGraph)
        budget = exists[graph.batch] if is_flat else exists.unsqueeze(1)
    dtype, attr = _work_dtype(x, s), graph.edge_attr
    with _modes.without_autocast(x.device.type):
        losses = Losses(graph, options, x.dtype)
        logits = to_logits(s, budget, k, dtype)
        given = logits, losses, options.backend
        if isinstance(graph, FlatGraph):
            level = _flat_level(x.to(dtype), graph, *given)
        else:
            level = _padded_level(x.to(dtype), graph, *given)
        if attr is not None:
            pooled = level.s, level.adj, options.edge_reduce
            attr = pool_edge_features(graph, attr, *pooled, may_look).to(x.dtype)
        if options.pooled_adj == "normalized":
            level = level._replace(adj=normalized(level.adj))
    x_out, adj, s = (t.to(x.dtype) for t in level[:3])
    return DiffPoolOutput(x_out, adj, exists, s, x, *level[3:5], attr, level.gram)


def _flat_level(
    x: Tensor, graph: FlatGraph, logits: Tensor, losses: Losses, backend: Backend
) -> Level:
    """The level of a sparse mini-batch."""
    sparse = graph.sparse
    if not _takes_padding(graph, logits.size(1), backend):
        level = sparse_level(x, sparse, logits, losses.divisors, losses.dtype)
        return losses.of(level, lambda: sparse_bce(level.s, sparse))
    m = int(graph.largest)
    slot = slots(graph.batch, sparse.ptr, m)
    edges = torch.stack([sparse.row, sparse.col])
    z, adj, mask = pad(x, edges, sparse.weight, slot, graph.batch_size, m)
    level = _dense_level(z, adj, pad_rows(logits, slot, *mask.shape), mask, losses)
    return level._replace(s=level.s.flatten(0, 1).index_select(0, slot))


def _padded_level(
    x: Tensor, graph: PaddedGraph, logits: Tensor, losses: Losses, backend: Backend
) -> Level:
    """The level of a padded mini-batch."""
    if backend == "sparse":
        what, got = "an edge list for backend='sparse'", "a dense 'adj'"
        hint = "Use backend='auto' or turn it into edges with 'to_flat'."
        raise _checks.wrong(ValueError, what, got, hint)
    adj = graph.given
    if not looks_at_mask(x, logits) or adj.requires_grad or losses.is_bce:
        x, adj = graph.zeroed(x), graph.adj
    return _dense_level(x, adj.to(x.dtype), logits, graph.mask, losses)


def _dense_level(
    x: Tensor, adj: Tensor, logits: Tensor, mask: Tensor | None, losses: Losses
) -> Level:
    level = padded_level(x, adj, logits, mask, losses.divisors, losses.dtype)
    return losses.of(level, lambda: padded_bce(adj, level.s, mask))


def _takes_padding(graph: FlatGraph, k: int, backend: Backend) -> bool:
    """Whether to pad: for "auto" on a CPU if graphs are tiny and even.

    With one thread, 16 to 1,024 graphs of equal size, time of sparse over padded: 1.0
    to 2.9 at up to 16 nodes a graph; at 32 nodes and K = 32 1.1 to 1.5 with a fifth of
    all pairs linked, 0.9 to 1.0 with three quarters, and 0.8 to 1.0 at K = 8; below 0.9
    at 64 (`python -m benchmarks backends`).
    """
    if backend != "auto" or not _modes.may_read_values(graph.batch):
        return backend == "padded"
    largest, num_nodes = int(graph.sizes.max()), graph.num_nodes
    pairs = graph.batch_size * largest**2
    is_even = pairs <= 2 * num_nodes * largest
    is_thin = 2 * graph.sparse.row.numel() < pairs
    is_tiny = largest <= 16 or (largest <= 32 <= k and is_thin)
    return is_tiny and is_even


def _work_dtype(x: Tensor, s: Tensor) -> torch.dtype:
    """The dtype of the arithmetic, on the CPU at least float32."""
    dtype = torch.promote_types(x.dtype, s.dtype) if s.is_floating_point() else x.dtype
    return torch.promote_types(dtype, torch.float) if x.device.type == "cpu" else dtype
