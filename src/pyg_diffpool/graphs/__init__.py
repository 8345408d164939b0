r"""The two forms of a mini-batch, behind one face.

Layers work on rows, one for each real node of the mini-batch, in both forms; so a
norm between two layers never sees padding. What differs is how neighbours are summed.
"""

from pyg_diffpool.graphs.base import Graph
from pyg_diffpool.graphs.flat import FlatGraph, flat_graph
from pyg_diffpool.graphs.padded import PaddedGraph, padded_graph

MiniBatch = FlatGraph | PaddedGraph

__all__ = [
    "FlatGraph",
    "Graph",
    "MiniBatch",
    "PaddedGraph",
    "flat_graph",
    "padded_graph",
]
