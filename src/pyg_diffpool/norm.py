"""Batch norm that can be compiled and exported with any number of nodes."""

from torch import Tensor
from torch_geometric.nn import BatchNorm


class NodeBatchNorm(BatchNorm):
    """PyG's `BatchNorm(allow_single_element=True)`.

    In evaluation the number of nodes is not looked at, since it makes no difference.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, allow_single_element=True)

    def forward(
        self,
        x: Tensor,  # [R, C]
    ) -> Tensor:
        """Over the rows; by the running statistics for a single one."""
        out: Tensor = super().forward(x) if self.training else self.module(x)
        return out
