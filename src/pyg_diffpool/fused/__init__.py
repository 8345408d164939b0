"""A whole level, from logits to losses, as one node of the autograd graph.

The same results as `assignment`, `ops` and `losses` one after the other. On
mini-batches of small graphs those spend most of their time between the products; here
forward and backward are written out by hand around them. Where a gradient is to be
differentiated once more, the plain way is taken again.
"""

from pyg_diffpool.fused.flat import fused_flat
from pyg_diffpool.fused.level import Level, LossScale
from pyg_diffpool.fused.padded import fused_padded

__all__ = ["Level", "LossScale", "fused_flat", "fused_padded"]
