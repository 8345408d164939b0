"""Networks that predict the words of a name."""

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.nn import GraphSAGE

from benchmarks.reproduce.graph_store import GraphBatch
from pyg_diffpool import DiffPoolCode2, readout
from pyg_diffpool.encoder import ColumnEmbedding


class WordsDiffPool(Module):
    """`DiffPoolCode2` on the harness's mini-batches."""

    def __init__(self, cardinalities: tuple[int, int, int], **sizes: int) -> None:
        super().__init__()
        self.net = DiffPoolCode2(*cardinalities, **sizes)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Logits `[B, T, vocabulary]`, no auxiliary loss."""
        out = self.net(batch.x, batch.edge_index, batch.batch, batch.num_graphs)
        return out.out, out.auxiliary_loss


class WordsFlat(Module):
    """The same without the level of DiffPool: encoder, embedding GNN, sum, heads."""

    def __init__(
        self,
        cardinalities: tuple[int, int, int],
        vocabulary_size: int,
        max_words: int,
        hidden_channels: int,
    ) -> None:
        super().__init__()
        self.max_words = max_words
        self.encoder = ColumnEmbedding(cardinalities, hidden_channels)
        self.embed = GraphSAGE(hidden_channels, hidden_channels, 3, norm="BatchNorm")
        self.heads = Linear(hidden_channels, max_words * vocabulary_size)

    def forward(self, batch: GraphBatch) -> tuple[Tensor, Tensor]:
        """Logits `[B, T, vocabulary]`, no auxiliary loss."""
        x = self.embed(self.encoder(batch.x), batch.edge_index)
        read = readout(x, batch.batch, batch_size=batch.num_graphs, reduce="sum")
        logits = self.heads(read).view(batch.num_graphs, self.max_words, -1)
        return logits, torch.zeros(())
