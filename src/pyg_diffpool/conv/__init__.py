"""Any PyG layer or model, with its own weights, on flat and on padded graphs."""

from pyg_diffpool.conv.call import call_gnn, find_gnn
from pyg_diffpool.conv.layers import check_takes_features, masked_edges

__all__ = ["call_gnn", "check_takes_features", "find_gnn", "masked_edges"]
