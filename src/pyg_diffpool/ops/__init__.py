"""The arithmetic of pooling: two backends, no parameters, no checks."""

from pyg_diffpool.ops import device
from pyg_diffpool.ops.edges import padded_pool_edges, pool_edges
from pyg_diffpool.ops.graph import SparseGraph, inverse
from pyg_diffpool.ops.padded import padded_pool
from pyg_diffpool.ops.pooled import Pooled
from pyg_diffpool.ops.ragged import contract, expand
from pyg_diffpool.ops.sorting import make_graph, sorted_graph, summed_graph
from pyg_diffpool.ops.sparse import sparse_pool, sparse_square
from pyg_diffpool.ops.spmm import spmm

__all__ = [
    "Pooled",
    "SparseGraph",
    "contract",
    "device",
    "expand",
    "inverse",
    "make_graph",
    "padded_pool",
    "padded_pool_edges",
    "pool_edges",
    "sorted_graph",
    "sparse_pool",
    "sparse_square",
    "spmm",
    "summed_graph",
]
