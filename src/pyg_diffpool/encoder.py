"""Integer node features made into vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Embedding, Module, ModuleList
from torch_geometric.nn.inits import reset


class ColumnEmbedding(Module):
    """The sum of one learned embedding for each column of integer features.

    Args:
        cardinalities: How many values each column may take.
        channels: Width of the embeddings, `C`.
    """

    def __init__(self, cardinalities: Sequence[int], channels: int) -> None:
        super().__init__()
        self.columns = ModuleList(Embedding(n, channels) for n in cardinalities)

    def reset_parameters(self) -> None:
        """Reset all embeddings."""
        reset(self.columns)

    def forward(
        self,
        x: Tensor,  # [N, F], int64
    ) -> Tensor:
        """Embed and sum, `[N, C]`."""
        if x.dim() != 2 or x.size(1) != len(self.columns) or x.is_floating_point():
            raise ValueError(
                f"Expected integer 'x' of shape [N, {len(self.columns)}], a column for "
                f"each of 'in_channels' (got {x.dtype} of shape {list(x.shape)})."
            )
        return torch.stack([e(x[:, i]) for i, e in enumerate(self.columns)]).sum(0)
