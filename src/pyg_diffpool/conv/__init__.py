"""Any PyG layer or model, with its own weights, on flat and on padded graphs."""

from pyg_diffpool.conv.call import call_gnn
from pyg_diffpool.conv.features import check_takes_features
from pyg_diffpool.conv.masks import masked_edges
from pyg_diffpool.conv.named import find_gnn

__all__ = ["call_gnn", "check_takes_features", "find_gnn", "masked_edges"]
