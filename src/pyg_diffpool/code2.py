"""DiffPool for ogbg-code2: a function's name from its syntax tree."""

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.nn import GraphSAGE
from torch_geometric.nn.inits import reset
from torch_geometric.typing import Adj

from pyg_diffpool._checks import optional_number, whole_number
from pyg_diffpool._minibatch import padded_graph
from pyg_diffpool.conv import call_gnn
from pyg_diffpool.encoder import ColumnEmbedding
from pyg_diffpool.layer import DiffPool
from pyg_diffpool.models import NodeBatchNorm, cluster_numbers
from pyg_diffpool.output import DiffPoolNetOutput
from pyg_diffpool.readout import readout


class DiffPoolCode2(Module):
    r"""DiffPool with GraphSAGE for the sequence task of ogbg-code2 (Hu et al. 2020).

    Node types, attributes and depths are embedded and summed; a level of DiffPool, a
    GNN, the sum over clusters and a linear head for each word follow. Each GNN is three
    mean `SAGEConv` layers with batch norm and ReLU after the first two.

    Args:
        num_types: How many node types there are. (default: `98`)
        num_attributes: How many node attributes there are. (default: `10030`)
        num_depths: How many depths; deeper nodes share the last. (default: `21`)
        vocabulary_size: Words, with "unknown" and "end". (default: `5002`)
        max_words: Length T of the predicted sequence. (default: `5`)
        hidden_channels: Width of every layer. (default: `256`)
        num_clusters: Number of clusters, K, at least 1. (default: `32`)
        dropout: Probability of dropout within the GNNs. (default: `0.0`)

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
        c = whole_number("hidden_channels", hidden_channels)
        self.encoder = ColumnEmbedding((num_types, num_attributes, num_depths), c)
        self.max_depth, self.max_words = self.encoder.cardinalities[2] - 1, max_words
        form, own = (c, c, 3), {"dropout": dropout, "norm": NodeBatchNorm(c)}
        (k,) = cluster_numbers(num_clusters)
        self.pool = DiffPool(GraphSAGE(*form, c, **own), GraphSAGE(*form, k, **own))
        self.last = GraphSAGE(*form, c, **own)
        self.heads = Linear(c, max_words * vocabulary_size)

    def reset_parameters(self) -> None:
        """Reset all learnable parameters."""
        for part in (self.encoder, self.pool, self.last, self.heads):
            reset(part)

    def forward(
        self,
        x: Tensor,
        adj: Adj,
        batch: Tensor | None = None,
        batch_size: int | None = None,
    ) -> DiffPoolNetOutput:
        """Predict the words; arguments and errors as in :func:`diff_pool`.

        `x` holds type, attribute and depth of each node, int64, `[N, 3]`; `out` of the
        result logits, `[B, T, vocabulary_size]`. The auxiliary loss is 0.
        """
        batch_size = optional_number("batch_size", batch_size)
        # Else the encoder says what is wrong.
        if isinstance(x, Tensor) and x.dim() == 2:
            x = torch.cat([x[:, :2], x[:, 2:].clamp(max=self.max_depth)], 1)
        nodes = self.encoder(x)
        level = self.pool(nodes, adj, batch=batch, batch_size=batch_size)
        graph = padded_graph(level.x, level.adj, level.mask)
        nodes = call_gnn(self.last, level.x, graph)
        read = readout(nodes, mask=level.mask, reduce="sum")
        words = self.heads(read).view(level.x.size(0), self.max_words, -1)
        link, entropy = level.link_loss, level.entropy_loss
        return DiffPoolNetOutput(words, link, entropy, torch.zeros_like(link), (level,))
