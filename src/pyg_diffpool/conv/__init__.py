"""Any PyG layer or model, with its own weights, on flat and on padded graphs."""

from pyg_diffpool.conv.call import call_gnn
from pyg_diffpool.conv.masks import masked_edges
from pyg_diffpool.conv.named import find_gnn

__all__ = ["call_gnn", "find_gnn", "masked_edges"]
