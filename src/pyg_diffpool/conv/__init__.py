"""Any PyG layer or model, with its own weights, on flat and on padded graphs."""

from pyg_diffpool.conv.call import call_gnn

__all__ = ["call_gnn"]
