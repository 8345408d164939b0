"""Levels stacked, with a classifier: the architecture of the paper."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import MLP, GraphSAGE
from torch_geometric.nn.inits import reset
from torch_geometric.nn.models.basic_gnn import BasicGNN
from torch_geometric.typing import Adj

from pyg_diffpool import _checks
from pyg_diffpool.conv import call_gnn
from pyg_diffpool.encoder import make_encoder
from pyg_diffpool.given_clusters import given_levels
from pyg_diffpool.graphs import padded_graph
from pyg_diffpool.options import Backend, EdgeReduce, Link, Normalize, Options
from pyg_diffpool.output import DiffPoolNetOutput
from pyg_diffpool.padding import batch_pointer
from pyg_diffpool.presets import Variant, paper_options
from pyg_diffpool.readout import readout
from pyg_diffpool.stack import GNNForm, cluster_numbers, make_pools, run_levels


class DiffPoolNet(Module):
    r"""Hierarchical graph classifier or regressor (Ying et al. 2018, section 3).

    Each level embeds with one GNN and assigns with another; a last GNN runs on the
    graph that is left. Every GNN has batch norm over real nodes after each layer and
    concatenates its layers before a linear map. The maximum over the nodes is read out
    of every level's embedding and of the last one; an MLP maps their concatenation.

    Args:
        in_channels: Width of float node features; or, for integer features `[N, F]`,
            how many values each of the F columns may take: then the sum of one
            learned embedding a column replaces the features.
        hidden_channels: Width of every embedding.
        out_channels: Width of the result, such as the number of classes.
        num_clusters: K of each level, from the first to the last; a single number is
            one level.
        ratio: Gives each graph `ceil(ratio * n_b)` clusters, at most K, at every
            level. (default: `None`, K)
        num_layers: Layers of each GNN. (default: `3`)
        gnn: The class of the GNNs, one of PyG's `BasicGNN` models whose layers can
            use edge weights or features. (default: `torch_geometric.nn.GraphSAGE`)
        edge_dim: Channels of edge features for which the layers of a `gnn` such as
            `GAT` are built: D, or D + 1 with the edge weight as the last, see
            :class:`DiffPool`. (default: `None`)
        dropout: Probability of dropout in GNNs and MLP. (default: `0.0`)
        l2_normalize: Whether a `GraphSAGE` scales the output of each layer to unit
            length. (default: `True`)
        link: See :func:`diff_pool`. (default: `"frobenius"`)
        normalize: See :func:`diff_pool`. (default: `True`)
        link_weight: Weight of the link loss in `auxiliary_loss`. (default: `1.0`)
        entropy_weight: Weight of the entropy in it. (default: `1.0`)
        learn_assignment: `False` builds no assignment GNNs; `forward` takes given
            `clusters` instead. (default: `True`)
        backend: See :func:`diff_pool`. (default: `"auto"`)
        sync_losses: See :func:`diff_pool`. (default: `False`)
        edge_reduce: See :func:`diff_pool`. (default: `"sum"`)

    Raises:
        ValueError: If `num_clusters` is empty or holds a number below 1, `ratio` is not
            in (0, 1], or the layers of `gnn` take no `edge_dim`.

    Example:
        >>> import torch
        >>> from pyg_diffpool import DiffPoolNet
        >>> net = DiffPoolNet(8, 16, 3, num_clusters=[4, 2])
        >>> x, batch = torch.randn(5, 8), torch.tensor([0, 0, 0, 1, 1])
        >>> edge_index = torch.tensor([[0, 1, 3, 4], [1, 0, 4, 3]])
        >>> net(x, edge_index, batch=batch).out.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        hidden_channels: int,
        out_channels: int,
        num_clusters: int | Sequence[int],
        *,
        ratio: float | None = None,
        num_layers: int = 3,
        gnn: type[BasicGNN] = GraphSAGE,
        edge_dim: int | None = None,
        dropout: float = 0.0,
        l2_normalize: bool = True,
        link: Link = "frobenius",
        normalize: Normalize = True,
        link_weight: float = 1.0,
        entropy_weight: float = 1.0,
        learn_assignment: bool = True,
        backend: Backend = "auto",
        sync_losses: bool = False,
        edge_reduce: EdgeReduce = "sum",
    ) -> None:
        super().__init__()
        clusters = cluster_numbers(num_clusters)
        sizes = (hidden_channels, num_layers, dropout, l2_normalize)
        form = GNNForm(gnn, *sizes, edge_dim)
        self.num_clusters = clusters
        self.link_weight = link_weight
        self.entropy_weight = entropy_weight
        self.encoder, self.width = make_encoder(in_channels, hidden_channels)
        options = Options(link, normalize, backend, False, sync_losses, edge_reduce)
        learned = clusters if learn_assignment else [None] * len(clusters)
        self.pools = make_pools(form, self.width, learned, ratio, options)
        self.last = form.make(hidden_channels, hidden_channels)
        widths = [hidden_channels * (len(clusters) + 1), hidden_channels, out_channels]
        self.mlp = MLP(widths, norm=None, dropout=dropout)

    @classmethod
    def paper(
        cls,
        in_channels: int | Sequence[int],
        out_channels: int,
        max_num_nodes: int,
        *,
        variant: Variant = "diffpool",
        num_levels: int = 2,
        hidden_channels: int = 64,
        **options: Any,
    ) -> "DiffPoolNet":
        """A variant of Ying et al. 2018, section 4.

        K is a quarter of the largest graph's nodes, and of that at a second level, or a
        tenth at a single one. The paper does not say how wide its networks were.

        Args:
            in_channels: See above.
            out_channels: See above.
            max_num_nodes: Nodes of the largest graph.
            variant: `"diffpool"`; `"nolp"`, without the link loss; `"det"`, given
                clusters (:class:`~pyg_diffpool.datasets.NestedClusters`); `"s2v"`,
                structure2vec in place of GraphSAGE. (default: `"diffpool"`)
            num_levels: 1 or 2. (default: `2`)
            hidden_channels: See above. (default: `64`)
            **options: Other arguments of the class, also in place of the variant's.

        Returns:
            The network.

        Raises:
            ValueError: If a value is not one of these, or `max_num_nodes` is below 1.

        Example:
            >>> DiffPoolNet.paper(8, 3, max_num_nodes=126, variant="nolp").num_clusters
            [31, 7]
        """
        settings = {**paper_options(max_num_nodes, variant, num_levels), **options}
        return cls(in_channels, hidden_channels, out_channels, **settings)

    def reset_parameters(self) -> None:
        """Reset all learnable parameters."""
        for part in (self.encoder, self.pools, self.last, self.mlp):
            reset(part)

    def forward(
        self,
        x: Tensor,  # [N, C], or [N, F] integer
        adj: Adj,  # [2, E] or sparse [N, N]
        edge_weight: Tensor | None = None,  # [E]
        batch: Tensor | None = None,  # [N]
        batch_size: int | None = None,
        clusters: Tensor | None = None,  # [N, L]
        edge_attr: Tensor | None = None,  # [E, D]
    ) -> DiffPoolNetOutput:
        """Run on a sparse mini-batch; arguments and errors as in :func:`diff_pool`.

        Args:
            x: Float node features, or integer ones if `in_channels` is a sequence.
            adj: The adjacency in any sparse form that :func:`diff_pool` takes.
            edge_weight: Edge weights. (default: `None`)
            batch: The graph of each node, ascending. (default: `None`)
            batch_size: Number of graphs. (default: `None`)
            clusters: With `learn_assignment=False` the cluster of each node at each of
                L levels, int64; nodes in one stay together. (default: `None`)
            edge_attr: Edge features, for layers with `edge_dim`. (default: `None`)

        Returns:
            A :class:`DiffPoolNetOutput`.
        """
        if self.encoder is not None:
            x = self.encoder(x)
        _checks.check_nodes(x, self.width, batch, batch_size)
        b = batch_pointer(batch, batch_size, x).numel() - 1
        learned = self.pools[0].assign is not None
        given = given_levels(clusters, learned, batch, b, self.num_clusters)
        mini_batch = (x, adj, edge_weight, edge_attr, batch, b)
        levels, read, mask = run_levels(self.pools, *mini_batch, given)
        top = levels[-1]
        graph = padded_graph(top.x, top.adj, mask, top.edge_attr)
        rows = call_gnn(self.last, graph.rows(top.x), graph)
        read.append(readout(graph.blocks(rows), mask=mask))
        weights = self.link_weight, self.entropy_weight
        return DiffPoolNetOutput.of(self.mlp(torch.cat(read, -1)), levels, *weights)
