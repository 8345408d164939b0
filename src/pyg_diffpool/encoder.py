"""Integer node features made into vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Embedding, Module, ModuleList
from torch_geometric.nn.inits import reset

from pyg_diffpool import _checks, _modes


class ColumnEmbedding(Module):
    """One learned embedding for each column of integer `[N, F]`, summed."""

    def __init__(self, cardinalities: Sequence[int], channels: int) -> None:
        super().__init__()
        whole = _checks.whole_number
        self.cardinalities = [whole("in_channels", n) for n in cardinalities]
        self.columns = ModuleList(Embedding(n, channels) for n in self.cardinalities)

    def reset_parameters(self) -> None:
        """Reset all embeddings."""
        reset(self.columns)

    def forward(self, x: Tensor) -> Tensor:
        """Embed and sum."""
        _checks.check_tensors(x=x)
        width = len(self.columns)
        if x.dtype not in (torch.int32, torch.long) or x.shape[1:] != (width,):
            raise ValueError(
                f"Expected integer 'x' of shape [N, {width}], a column for each of "
                f"'in_channels' (got {x.dtype} of shape {list(x.shape)})."
            )
        wrong = (x < 0) | (x >= x.new_tensor(self.cardinalities))
        if _modes.may_check_values(x) and bool(wrong.any()):
            raise ValueError(
                f"Expected columns of 'x' from 0 and below {self.cardinalities}, as "
                f"'in_channels' says (got {x[wrong].tolist()[:9]})."
            )
        return torch.stack([e(x[:, i]) for i, e in enumerate(self.columns)]).sum(0)
