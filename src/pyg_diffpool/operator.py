"""The DiffPool operator, for every form of input."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch_geometric.typing import Adj

from pyg_diffpool import _checks, _modes
from pyg_diffpool._edge_features import pool_edge_features
from pyg_diffpool._level import Level, cluster_mask, to_logits
from pyg_diffpool._losses import (
    is_shared,
    loss_counts,
    loss_divisors,
    padded_bce,
    shared_losses,
    sparse_bce,
)
from pyg_diffpool._minibatch import (
    FlatGraph,
    MiniBatch,
    PaddedGraph,
    to_graph,
)
from pyg_diffpool._padded_level import padded_level
from pyg_diffpool._sparse_level import sparse_level
from pyg_diffpool.output import DiffPoolOutput
from pyg_diffpool.padding import pad, pad_rows, slots

Backend = Literal["auto", "padded", "sparse"]
Link = Literal["frobenius", "bce"]
Normalize = bool | Literal["padded"]
EdgeReduce = Literal["sum", "mean"]


class Options(NamedTuple):
    """The keyword arguments of `diff_pool` that both forms share."""

    link: Link = "frobenius"
    normalize: Normalize = True
    backend: Backend = "auto"
    check: bool = False
    sync_losses: bool = False
    edge_reduce: EdgeReduce = "sum"

    def validate(self) -> None:
        """Raise a `ValueError` for a choice that does not exist."""
        _checks.check_choice("link", self.link, ("frobenius", "bce"))
        _checks.check_choice("normalize", self.normalize, (True, False, "padded"))
        _checks.check_choice("backend", self.backend, ("auto", "padded", "sparse"))
        _checks.check_choice("edge_reduce", self.edge_reduce, ("sum", "mean"))


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
        link: The link prediction loss: `"frobenius"` as in the paper, or `"bce"`, the
            binary cross-entropy of the paper's reference code (exact on the padded
            backend, on the sparse one over all edges and as many sampled pairs).
            (default: `"frobenius"`)
        normalize: Divide the link loss by the number of real pairs of nodes,
            :math:`\sum_b n_b^2` (`True`), not at all (`False`), or divide both losses
            by sizes that count padding, as PyG does (`"padded"`). (default: `True`)
        edge_reduce: What becomes of `edge_attr` :math:`F` over the edges e from i to
            j: `"sum"` is :math:`\sum_e S_{ik} S_{jl} F_e`, :math:`S^\top F S` for
            each feature, whatever the edge weights; `"mean"` is
            :math:`\sum_e w_e S_{ik} S_{jl} F_e / A'_{kl}`, the average weighed by
            edge weights of at least 0, or 0 where :math:`A'_{kl} < 10^{-30}`; it
            keeps the scale of the features. Both agree over levels.
            (default: `"sum"`)
        backend: `"sparse"`, `"padded"`, or `"auto"`. (default: `"auto"`)
        check: Also look for NaN and infinity, and look at index values where this
            waits for the device; outside compiled code so does
            ``PYG_DIFFPOOL_CHECK=1``. (default: `False`)
        sync_losses: Sum what the losses are made of over all processes of
            `torch.distributed`. Every process then has the losses of one process on
            the joined mini-batch, and `DistributedDataParallel`, which averages
            gradients over processes, gives their gradients, however the graphs are
            dealt. No choice of `normalize` does that: each process divides by the sizes
            of its own graphs, and the norm is one root over all graphs. All processes
            must call alike; under `torch.no_grad` nothing is exchanged.
            (default: `False`)

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
    options = Options(link, normalize, backend, check, sync_losses, edge_reduce)
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
    exists = cluster_mask(graph.sizes, k, num_clusters)
    budget = None if num_clusters is None else exists
    dtype = _work_dtype(x, s)
    with _modes.without_autocast(x.device.type):
        sizes = loss_counts(graph.sizes), graph.batch_size, graph.largest
        losses = _Losses(sizes, options, _loss_dtype(x))
        given = s, k, budget, losses, options.backend
        if isinstance(graph, FlatGraph):
            level, bce = _flat_level(x.to(dtype), graph, *given)
        else:
            level, bce = _padded_level(x.to(dtype), graph, *given)
        attr = graph.edge_attr
        if attr is not None:
            pooled = level.s, level.adj, options.edge_reduce
            attr = pool_edge_features(graph, attr, *pooled, may_look)
        link_loss, entropy_loss = losses.of(level, bce)
    return DiffPoolOutput(
        level.x.to(x.dtype),
        level.adj.to(x.dtype),
        exists,
        level.s.to(x.dtype),
        x,
        link_loss,
        entropy_loss,
        None if attr is None else attr.to(x.dtype),
    )


class _Losses(NamedTuple):
    """What the losses of a mini-batch are made of besides the level."""

    sizes: tuple[Tensor, int, Tensor]  # `loss_counts`, B, nodes of the largest graph
    options: Options
    dtype: torch.dtype

    @property
    def are_bce(self) -> bool:
        return self.options.link == "bce"

    @property
    def are_shared(self) -> bool:
        return self.options.sync_losses and is_shared()

    @property
    def divisors(self) -> Tensor:
        if self.are_shared:
            return torch.ones_like(self.sizes[0])
        return loss_divisors(*self.sizes, self.options.normalize)

    def of(self, level: Level, bce: Tensor | None) -> tuple[Tensor, Tensor]:
        """The link prediction loss and the entropy."""
        link, entropy = level.link_loss, level.entropy_loss
        if bce is not None:
            link = bce / self.divisors[0]
        if self.are_shared:
            rest = *self.sizes, self.options.normalize, bce is None
            link, entropy = shared_losses(link, entropy, *rest)
        return link.to(self.dtype), entropy.to(self.dtype)


def _flat_level(
    x: Tensor,
    graph: FlatGraph,
    s: Tensor,
    k: int,
    budget: Tensor | None,  # [B, K]
    losses: _Losses,
    backend: Backend,
) -> tuple[Level, Tensor | None]:
    """The level of a sparse mini-batch, and its cross-entropy if that is wanted."""
    logits = to_logits(s, None if budget is None else budget[graph.batch], k, x.dtype)
    scale = losses.divisors, losses.dtype
    if not _takes_padding(graph, k, backend):
        level = sparse_level(x, graph.sparse, logits, *scale)
        return level, sparse_bce(level.s, graph.sparse) if losses.are_bce else None
    sparse, m = graph.sparse, int(graph.largest)
    slot = slots(graph.batch, sparse.ptr, m)
    edges = torch.stack([sparse.row, sparse.col])
    z, adj, mask = pad(x, edges, sparse.weight, slot, graph.batch_size, m)
    level = padded_level(z, adj, pad_rows(logits, slot, *mask.shape), mask, *scale)
    bce = padded_bce(adj, level.s, mask) if losses.are_bce else None
    return level._replace(s=level.s.flatten(0, 1).index_select(0, slot)), bce


def _padded_level(
    x: Tensor,
    graph: PaddedGraph,
    s: Tensor,
    k: int,
    budget: Tensor | None,  # [B, K]
    losses: _Losses,
    backend: Backend,
) -> tuple[Level, Tensor | None]:
    """The level of a padded mini-batch, and its cross-entropy if that is wanted."""
    if backend == "sparse":
        raise ValueError(
            "Expected an edge list for backend='sparse' (got a dense 'adj'). Use "
            "backend='auto' or turn it into edges with 'to_flat'."
        )
    mask, adj = graph.mask, graph.adj.to(x.dtype)
    if mask is not None:
        x = x.masked_fill(~mask.unsqueeze(-1), 0)
    logits = to_logits(s, None if budget is None else budget.unsqueeze(1), k, x.dtype)
    level = padded_level(x, adj, logits, mask, losses.divisors, losses.dtype)
    return level, padded_bce(adj, level.s, mask) if losses.are_bce else None


def _takes_padding(graph: FlatGraph, k: int, backend: Backend) -> bool:
    """Whether to pad: for "auto" if graphs are tiny and even, where that is faster.

    Seen on a CPU with one thread, 16 to 1,024 graphs of equal size, time of sparse over
    padded: 1.0 to 2.9 at up to 16 nodes a graph; at 32 nodes and K = 32 1.1 to 1.5 with
    a fifth of all pairs linked, 0.9 to 1.0 with three quarters, and 0.8 to 1.0 at K =
    8; below 0.9 at 64 (`python -m benchmarks backends`). On other devices the sizes are
    not looked at.
    """
    if backend != "auto" or not _modes.may_read_values(graph.batch):
        return backend == "padded"
    largest, num_nodes = int(graph.sizes.max()), graph.num_nodes
    pairs = graph.batch_size * largest**2
    is_even = pairs <= 2 * num_nodes * largest
    is_thin = 2 * graph.sparse.row.numel() < pairs
    is_tiny = largest <= 16 or (largest <= 32 <= k and is_thin)
    return is_tiny and is_even


def _loss_dtype(x: Tensor) -> torch.dtype:
    """Losses stay at float32 or better."""
    return torch.promote_types(x.dtype, torch.float)


def _work_dtype(x: Tensor, s: Tensor) -> torch.dtype:
    """The dtype of the arithmetic, on the CPU at least float32."""
    dtype = torch.promote_types(x.dtype, s.dtype) if s.is_floating_point() else x.dtype
    return torch.promote_types(dtype, torch.float) if x.device.type == "cpu" else dtype
