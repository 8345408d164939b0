"""DiffPool as a layer: two GNNs and the operator, one level."""

from torch import Tensor
from torch.nn import Module
from torch_geometric.nn.inits import reset
from torch_geometric.typing import Adj

from pyg_diffpool._level import cluster_budget
from pyg_diffpool._minibatch import MiniBatch, to_graph
from pyg_diffpool.conv import call_gnn, check_takes_features, masked_edges
from pyg_diffpool.operator import (
    Backend,
    EdgeReduce,
    Link,
    Normalize,
    Options,
    PooledAdj,
    pool,
)
from pyg_diffpool.output import DiffPoolOutput


class DiffPool(Module):
    r"""One level of differentiable pooling (Ying et al. 2018, equations 3 to 6).

    .. math::
        Z = \mathrm{embed}(X, A), \quad
        S = \mathrm{softmax}(\mathrm{assign}(X, A)), \quad
        X' = S^{\top} Z, \quad
        A' = S^{\top} A S

    The two GNNs may be any PyG layer or model. Level 1 takes PyG's sparse mini-batch
    and never makes it dense; further levels take the small dense graphs that the level
    before gave. There the same layers run with the edge weights :math:`A'`; a layer
    that cannot use weights says so.

    Edge features, D an edge, reach layers that take `edge_attr`: one built for D
    channels (`edge_dim`) receives the features, one for D + 1 also the edge weight as
    the last channel. Layers that take `edge_weight` receive that alone. One of the two
    GNNs must have a layer for the features, on every level that is given them.

    PyG's explainers work on models of such levels. An edge mask multiplies the messages
    of both GNNs and, in :math:`S^{\top} A S`, the edge itself, so that an edge with the
    mask 0 has no part in the pooled graph either. Degrees stay those of all edges, as
    in PyG. Padded graphs, such as pooled ones, have other edges and know of no mask. A
    layer with `layer.explain = False` is left out by PyG; where no layer of either GNN
    is masked, neither is :math:`A`.

    Args:
        embed: The embedding GNN, called as `embed(x, edge_index)`; a layer, a model
            (`GCN`, `GraphSAGE`, ...), or a `torch_geometric.nn.Sequential`. `None`
            takes the features as they are. (default: `None`)
        assign: The assignment GNN; its number of output channels is K. `None` if the
            assignment is passed to `forward`. (default: `None`)
        ratio: Gives each graph a budget of `ceil(ratio * n_b)` clusters, at most K;
            `None` gives every graph K. (default: `None`)
        link: The link prediction loss, `"frobenius"` or `"bce"`.
            (default: `"frobenius"`)
        normalize: By what the losses are divided: `True`, `False` or `"padded"`, see
            :func:`diff_pool`. (default: `True`)
        backend: `"auto"`, `"sparse"` or `"padded"`. (default: `"auto"`)
        check: Also look for NaN and infinity, and at index values where this waits
            for the device, see :func:`diff_pool`. (default: `False`)
        sync_losses: Under `DistributedDataParallel`, compute the losses of the joined
            mini-batch of all processes, see :func:`diff_pool`. (default: `False`)
        edge_reduce: How edge features are pooled, `"sum"` or `"mean"`, see
            :func:`diff_pool`. (default: `"sum"`)
        pooled_adj: `"raw"`, or `"normalized"` for messages between clusters rather than
            within them, see :func:`diff_pool`. (default: `"raw"`)

    Raises:
        TypeError: If `embed` or `assign` is no module.
        ValueError: If `ratio` is not in (0, 1] or a choice does not exist.

    Example:
        >>> import torch
        >>> from torch_geometric.nn import GraphSAGE
        >>> from pyg_diffpool import DiffPool
        >>> pool1 = DiffPool(GraphSAGE(8, 16, 2), GraphSAGE(8, 16, 2, out_channels=4))
        >>> pool2 = DiffPool(GraphSAGE(16, 16, 1), GraphSAGE(16, 2, 1))
        >>> x, batch = torch.randn(5, 8), torch.tensor([0, 0, 0, 1, 1])
        >>> edge_index = torch.tensor([[0, 1, 3, 4], [1, 0, 4, 3]])
        >>> out = pool1(x, edge_index, batch=batch)
        >>> out = pool2(out.x, out.adj, mask=out.mask)
        >>> out.x.shape
        torch.Size([2, 2, 16])
    """

    def __init__(
        self,
        embed: Module | None = None,
        assign: Module | None = None,
        ratio: float | None = None,
        *,
        link: Link = "frobenius",
        normalize: Normalize = True,
        backend: Backend = "auto",
        check: bool = False,
        sync_losses: bool = False,
        edge_reduce: EdgeReduce = "sum",
        pooled_adj: PooledAdj = "raw",
    ) -> None:
        super().__init__()
        if ratio is not None and not 0 < ratio <= 1:
            raise ValueError(f"Expected 'ratio' above 0 and at most 1 (got {ratio}).")
        for name, gnn in (("embed", embed), ("assign", assign)):
            if not isinstance(gnn, Module | None):
                raise TypeError(
                    f"Expected '{name}' as a torch.nn.Module (got {gnn!r})."
                )
        self.embed = embed
        self.assign = assign
        self.ratio = ratio
        choices = (link, normalize, backend, check, sync_losses, edge_reduce)
        self.options = Options(*choices, pooled_adj)
        self.options.validate()

    def reset_parameters(self) -> None:
        """Reset all learnable parameters of the two GNNs."""
        reset(self.embed)
        reset(self.assign)

    def forward(
        self,
        x: Tensor,  # [N, C] or [B, M, C]
        adj: Adj,  # [2, E], sparse [N, N], or [B, M, M]
        edge_weight: Tensor | None = None,  # [E]
        batch: Tensor | None = None,  # [N]
        *,
        edge_attr: Tensor | None = None,  # [E, D] or [B, M, M, D]
        mask: Tensor | None = None,  # [B, M]
        batch_size: int | None = None,
        s: Tensor | None = None,  # [N, K], [B, M, K], or int64 without K
        num_clusters: int | None = None,
    ) -> DiffPoolOutput:
        """Pool a mini-batch; arguments as in :func:`diff_pool`.

        Args:
            x: Node features, `[N, C]`, or padded `[B, M, C]`.
            adj: The adjacency in any form that :func:`diff_pool` takes.
            edge_weight: Edge weights, `[E]`. (default: `None`)
            batch: The graph of each node, `[N]`, ascending. (default: `None`)
            edge_attr: Edge features, `[E, D]` or `[B, M, M, D]`. (default: `None`)
            mask: Which rows of padded input are nodes, `[B, M]`. (default: `None`)
            batch_size: Number of graphs. (default: `None`)
            s: The assignment in place of `assign`'s: logits, or the one cluster of
                each node as int64 (DiffPool-Det). (default: `None`)
            num_clusters: K beside an integer `s` (default: `None`, `s.max() + 1`); else
                a budget of clusters for every graph (default: `None`, all K).

        Returns:
            A :class:`DiffPoolOutput`.

        Raises:
            TypeError: See :func:`diff_pool`.
            ValueError: See :func:`diff_pool`; or if a GNN cannot use the edge
                weights, neither GNN the edge features, a layer is built for others,
                both or neither of `assign` and `s` or both `ratio` and `num_clusters`
                are given, or an explainer has masked other edges than these.
        """
        if (s is None) == (self.assign is None):
            raise ValueError(
                "Expected either an 'assign' GNN or the assignment 's' (got "
                f"{'neither' if s is None else 'both'})."
            )
        if edge_attr is not None:
            check_takes_features(edge_attr, self.embed, self.assign)
        given = edge_weight, edge_attr, batch, mask, batch_size, self.options.check
        x, s, graph = to_graph(x, adj, s, *given)
        z = self._run(self.embed, x, graph)
        if s is None:
            s = self._run(self.assign, x, graph)
        budget = cluster_budget(self.ratio, num_clusters, graph.sizes, s)
        graph = masked_edges(graph, self.embed, self.assign)
        return pool(z, graph, s, budget, self.options)

    @staticmethod
    def _run(gnn: Module | None, x: Tensor, graph: MiniBatch) -> Tensor:
        return x if gnn is None else call_gnn(gnn, x, graph)

    def extra_repr(self) -> str:
        """The settings that differ from the defaults."""
        parts = [] if self.ratio is None else [f"ratio={self.ratio}"]
        defaults = Options()._asdict()
        changed = self.options._asdict().items()
        parts += [f"{name}={v!r}" for name, v in changed if v != defaults[name]]
        return ", ".join(parts)
