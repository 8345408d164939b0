"""DiffPool for ogbg-code2: a function's name from its syntax tree."""

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.nn import GraphSAGE
from torch_geometric.nn.inits import reset
from torch_geometric.typing import Adj

from pyg_diffpool.conv import call_gnn
from pyg_diffpool.encoder import ColumnEmbedding
from pyg_diffpool.graphs import padded_graph
from pyg_diffpool.layer import DiffPool
from pyg_diffpool.norm import NodeBatchNorm
from pyg_diffpool.output import DiffPoolNetOutput
from pyg_diffpool.readout import readout
from pyg_diffpool.stack import cluster_numbers


class DiffPoolCode2(Module):
    r"""DiffPool with GraphSAGE for the sequence task of ogbg-code2 (Hu et al. 2020).

    Node types, attributes and depths are embedded and summed; one level of DiffPool
    pools each tree to K clusters; a last GNN and the sum over its clusters follow, and
    a linear head for each word of the name. Each GNN is three mean `SAGEConv` layers
    with batch norm and ReLU after the first two. With the defaults, ogbg-code2's sizes,
    it has 10,095,826 parameters.

    Args:
        num_types: How many node types there are. (default: `98`)
        num_attributes: How many node attributes there are. (default: `10030`)
        num_depths: How many depths are told apart; deeper nodes share the last.
            (default: `21`)
        vocabulary_size: Words that a name can be made of, the unknown word and the end
            among them. (default: `5002`)
        max_words: Length T of the predicted sequence. (default: `5`)
        hidden_channels: Width of every layer. (default: `256`)
        num_clusters: Number of clusters, K. (default: `32`)
        dropout: Probability of dropout within the GNNs. (default: `0.0`)

    Raises:
        ValueError: If `num_clusters` is below 1.

    Example:
        >>> import torch
        >>> from pyg_diffpool import DiffPoolCode2
        >>> net = DiffPoolCode2(4, 9, 3, vocabulary_size=7, hidden_channels=8)
        >>> x = torch.tensor([[0, 8, 0], [3, 0, 1], [1, 2, 1]])
        >>> edge_index = torch.tensor([[0, 0, 1, 2], [1, 2, 0, 0]])
        >>> net(x, edge_index).out.shape
        torch.Size([1, 5, 7])
    """

    def __init__(
        self,
        num_types: int = 98,
        num_attributes: int = 10_030,
        num_depths: int = 21,
        vocabulary_size: int = 5002,
        max_words: int = 5,
        hidden_channels: int = 256,
        num_clusters: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.max_depth = num_depths - 1
        self.max_words = max_words
        cardinalities = (num_types, num_attributes, num_depths)
        self.encoder = ColumnEmbedding(cardinalities, hidden_channels)

        def make_gnn(out_channels: int) -> GraphSAGE:
            return GraphSAGE(
                hidden_channels,
                hidden_channels,
                3,
                out_channels,
                dropout=dropout,
                norm=NodeBatchNorm(hidden_channels),
            )

        (k,) = cluster_numbers(num_clusters)
        self.pool = DiffPool(make_gnn(hidden_channels), make_gnn(k))
        self.last = make_gnn(hidden_channels)
        self.heads = Linear(hidden_channels, max_words * vocabulary_size)

    def reset_parameters(self) -> None:
        """Reset all learnable parameters."""
        for part in (self.encoder, self.pool, self.last, self.heads):
            reset(part)

    def forward(
        self,
        x: Tensor,  # [N, 3]
        adj: Adj,  # [2, E] or sparse [N, N]
        batch: Tensor | None = None,  # [N]
        batch_size: int | None = None,
    ) -> DiffPoolNetOutput:
        """Predict each word of each name.

        Args:
            x: Type, attribute and depth of each node, int64, `[N, 3]`.
            adj: The adjacency in any sparse form that :func:`diff_pool` takes.
            batch: The graph of each node, `[N]`, ascending. (default: `None`)
            batch_size: Number of graphs. (default: `None`)

        Returns:
            `out` holds logits of shape `[B, T, vocabulary_size]`.

        Raises:
            ValueError: If `x` is not `[N, 3]` integer within its ranges; and see
                :func:`diff_pool`.
        """
        depth = x[:, 2:].clamp(max=self.max_depth)
        nodes = self.encoder(torch.cat([x[:, :2], depth], 1))
        level = self.pool(nodes, adj, batch=batch, batch_size=batch_size)
        graph = padded_graph(level.x, level.adj, level.mask)
        rows = call_gnn(self.last, graph.rows(level.x), graph)
        read = readout(graph.blocks(rows), mask=level.mask, reduce="sum")
        words = self.heads(read).view(level.x.size(0), self.max_words, -1)
        none = level.link_loss.new_zeros(())  # no auxiliary losses are trained on
        return DiffPoolNetOutput(
            words, level.link_loss, level.entropy_loss, none, (level,)
        )
