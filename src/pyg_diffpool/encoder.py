"""Integer node features made into vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Embedding, Module, ModuleList
from torch_geometric.nn.inits import reset

from pyg_diffpool import _checks


class ColumnEmbedding(Module):
    """The sum of one learned embedding for each column of integer features.

    Args:
        cardinalities: How many values each column may take.
        channels: Width of the embeddings, `C`.
    """

    def __init__(self, cardinalities: Sequence[int], channels: int) -> None:
        super().__init__()
        self.cardinalities = tuple(cardinalities)
        self.columns = ModuleList(Embedding(n, channels) for n in cardinalities)

    def reset_parameters(self) -> None:
        """Reset all embeddings."""
        reset(self.columns)

    def forward(
        self,
        x: Tensor,  # [N, F], int64
    ) -> Tensor:
        """Embed and sum, `[N, C]`."""
        width = len(self.columns)
        _checks.check_same_device(x=x)
        if x.dtype not in (torch.int32, torch.int64) or x.shape[1:] != (width,):
            raise ValueError(
                f"Expected integer 'x' of shape [N, {width}], a column for each of "
                f"'in_channels' (got {x.dtype} of shape {list(x.shape)})."
            )
        if x.numel() and _checks.values_visible(x, check=False):
            self._check_values(x)
        return torch.stack([e(x[:, i]) for i, e in enumerate(self.columns)]).sum(0)

    def _check_values(self, x: Tensor) -> None:
        low, high = x.amin(0).tolist(), x.amax(0).tolist()
        for i, number in enumerate(self.cardinalities):
            if low[i] < 0 or high[i] >= number:
                raise ValueError(
                    f"Expected column {i} of 'x' from 0 to {number - 1}, as "
                    f"'in_channels' says (got {low[i]} to {high[i]})."
                )


def make_encoder(
    in_channels: int | Sequence[int], channels: int
) -> tuple[ColumnEmbedding | None, int]:
    """The encoder that integer features need, if any, and the width of what follows."""
    if isinstance(in_channels, int):
        return None, in_channels
    return ColumnEmbedding(in_channels, channels), channels
