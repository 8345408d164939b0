"""The DiffPool operator, for every form of input."""

from torch import Tensor
from torch_geometric.typing import Adj

from pyg_diffpool import _checks
from pyg_diffpool.adjacency import is_dense
from pyg_diffpool.graphs import flat_graph, padded_graph
from pyg_diffpool.options import Backend, EdgeReduce, Link, Normalize, Options
from pyg_diffpool.output import DiffPoolOutput
from pyg_diffpool.pooling import pool_flat, pool_padded


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
    _checks.check_float("x", x, (2, 3))
    if not is_dense(adj):
        _checks.check_unused("an edge list", mask=mask)
        edges = (edge_weight, batch, batch_size, check, edge_attr)
        flat = flat_graph(x, adj, *edges)
        return pool_flat(x, flat, s, num_clusters, options)
    _checks.check_unused("a dense 'adj'", edge_weight=edge_weight, batch=batch)
    if x.dim() == 2 and adj.dim() == 2:
        x, adj, s = x.unsqueeze(0), adj.unsqueeze(0), s.unsqueeze(0)
        edge_attr = None if edge_attr is None else edge_attr.unsqueeze(0)
    _checks.check_num_blocks(batch_size, x)
    padded = padded_graph(x, adj, mask, edge_attr)
    return pool_padded(x, padded, s, num_clusters, options)
