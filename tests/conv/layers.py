"""How each layer of `torch_geometric.nn.conv` is made, and what it can be used for.

Every layer maps C to C channels. A layer that PyG adds must be put into one of these
tables; `test_the_tables_name_every_layer` fails until it is.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric import nn as pyg

C = 4


def mlp(in_channels: int = C) -> pyg.MLP:
    return pyg.MLP([in_channels, C], norm=None)


def sequential(*steps: object) -> pyg.Sequential:
    return pyg.Sequential("x, edge_index", list(steps))


def position(x: Tensor) -> Tensor:
    return x[:, :3]


class Typed(Module):
    """A layer with types of edges: loops and others."""

    def __init__(self, conv: Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        edge_type = (edge_index[0] == edge_index[1]).long()
        return self.conv(x, edge_index, edge_type=edge_type)


def pna() -> Module:
    degrees = torch.tensor([1, 2, 3, 2])
    return pyg.PNAConv(C, C, ["mean", "max"], ["identity"], degrees, edge_dim=1)


Table = dict[str, Callable[[], Module]]

# On every level. The weights come as `edge_weight`,
BY_EDGE_WEIGHT: Table = {
    "SimpleConv": lambda: pyg.SimpleConv("mean"),
    "GCNConv": lambda: pyg.GCNConv(C, C),
    "ChebConv": lambda: pyg.ChebConv(C, C, K=3),
    "GraphConv": lambda: pyg.GraphConv(C, C),
    "GatedGraphConv": lambda: pyg.GatedGraphConv(C, num_layers=2),
    "TAGConv": lambda: pyg.TAGConv(C, C),
    "ARMAConv": lambda: pyg.ARMAConv(C, C, num_stacks=2),
    "SGConv": lambda: pyg.SGConv(C, C, K=2),
    "SSGConv": lambda: pyg.SSGConv(C, C, alpha=0.1, K=2),
    "APPNP": lambda: pyg.APPNP(K=2, alpha=0.1),
    "DNAConv": lambda: pyg.Sequential(
        "x, edge_index, edge_weight",
        [
            (lambda x: x.unsqueeze(1).repeat(1, 2, 1), "x -> xs"),
            (pyg.DNAConv(C, heads=2), "xs, edge_index, edge_weight -> x"),
        ],
    ),
    "LEConv": lambda: pyg.LEConv(C, C),
    "GCN2Conv": lambda: sequential(
        (pyg.GCN2Conv(C, alpha=0.5, theta=1.0, layer=1), "x, x, edge_index -> x")
    ),
    "WLConvContinuous": lambda: pyg.WLConvContinuous(),
    "FAConv": lambda: sequential(
        (pyg.FAConv(C, normalize=False), "x, x, edge_index -> x")
    ),
    "LGConv": lambda: pyg.LGConv(),
    "AntiSymmetricConv": lambda: pyg.AntiSymmetricConv(C),
    "DirGNNConv": lambda: pyg.DirGNNConv(pyg.GCNConv(C, C, add_self_loops=False)),
    "MixHopConv": lambda: pyg.MixHopConv(C, C // 2, powers=[0, 1]),
    "GPSConv": lambda: pyg.GPSConv(C, pyg.GraphConv(C, C), heads=2),
}
# as `edge_attr`, since the layer is built for one channel of edge features,
BY_EDGE_ATTR: Table = {
    "ResGatedGraphConv": lambda: pyg.ResGatedGraphConv(C, C, edge_dim=1),
    "GATConv": lambda: pyg.GATConv(C, C, heads=2, concat=False, edge_dim=1),
    "GATv2Conv": lambda: pyg.GATv2Conv(C, C, edge_dim=1),
    "TransformerConv": lambda: pyg.TransformerConv(C, C, edge_dim=1),
    "GINEConv": lambda: pyg.GINEConv(mlp(), edge_dim=1),
    "GMMConv": lambda: pyg.GMMConv(C, C, dim=1, kernel_size=2),
    "SplineConv": lambda: pyg.SplineConv(C, C, dim=1, kernel_size=2),
    "NNConv": lambda: pyg.NNConv(C, C, Linear(1, C * C)),
    "CGConv": lambda: pyg.CGConv(C, dim=1),
    "PNAConv": pna,
    "GENConv": lambda: pyg.GENConv(C, C, edge_dim=1, norm="layer"),
    "PDNConv": lambda: pyg.PDNConv(C, C, edge_dim=1, hidden_channels=8),
    "GeneralConv": lambda: pyg.GeneralConv(C, C, in_edge_channels=1),
}
NEED_WEIGHTS = [  # which are given ones on an unweighted graph
    "ResGatedGraphConv",
    "TransformerConv",
    "GINEConv",
    "GMMConv",
    "SplineConv",
    "NNConv",
    "CGConv",
    "PNAConv",
]
# or as in PyG's dense layer of the same arithmetic.
AS_DENSE: Table = {
    "SAGEConv": lambda: pyg.SAGEConv(C, C),
    "GINConv": lambda: pyg.GINConv(mlp()),
}
# On every level, making edges of its own from the features.
OWN_EDGES: Table = {
    "GravNetConv": lambda: pyg.GravNetConv(C, C, 2, 3, k=2),
    "DynamicEdgeConv": lambda: pyg.DynamicEdgeConv(mlp(2 * C), k=2),
    "XConv": lambda: pyg.Sequential(
        "x, edge_index, batch",
        [
            (position, "x -> pos"),
            (pyg.XConv(C, C, dim=3, kernel_size=2), "x, pos, batch -> x"),
        ],
    ),
}
# On level 1 alone, since there is nothing in it that a weight could scale.
WITHOUT_WEIGHTS: Table = {
    "AGNNConv": lambda: pyg.AGNNConv(),
    "MFConv": lambda: pyg.MFConv(C, C, max_degree=4),
    "RGCNConv": lambda: Typed(pyg.RGCNConv(C, C, num_relations=2)),
    "FastRGCNConv": lambda: Typed(pyg.FastRGCNConv(C, C, num_relations=2)),
    "RGATConv": lambda: Typed(pyg.RGATConv(C, C, num_relations=2)),
    "SignedConv": lambda: sequential(
        (pyg.SignedConv(C, C // 2, first_aggr=True), "x, edge_index, edge_index -> x")
    ),
    "PointNetConv": lambda: sequential(
        (position, "x -> pos"),
        (pyg.PointNetConv(mlp(C + 3)), "x, pos, edge_index -> x"),
    ),
    "EdgeConv": lambda: pyg.EdgeConv(mlp(2 * C)),
    "PPFConv": lambda: sequential(
        (position, "x -> pos"),
        (pyg.PPFConv(mlp(C + 4)), "x, pos, pos, edge_index -> x"),
    ),
    "FeaStConv": lambda: pyg.FeaStConv(C, C, heads=2),
    "PointTransformerConv": lambda: sequential(
        (position, "x -> pos"),
        (pyg.PointTransformerConv(C, C), "x, pos, edge_index -> x"),
    ),
    "HypergraphConv": lambda: sequential(
        (pyg.HypergraphConv(C, C), "x, edge_index -> x")
    ),
    "ClusterGCNConv": lambda: pyg.ClusterGCNConv(C, C),
    "PANConv": lambda: sequential(
        (pyg.PANConv(C, C, filter_size=2), "x, edge_index -> x, m"),
        (torch.nn.Identity(), "x -> x"),
    ),
    "FiLMConv": lambda: pyg.FiLMConv(C, C),
    "SuperGATConv": lambda: pyg.SuperGATConv(C, C),
    "FAConv normalised": lambda: sequential((pyg.FAConv(C), "x, x, edge_index -> x")),
    "EGConv": lambda: pyg.EGConv(C, C, num_heads=2, num_bases=2),
    "PointGNNConv": lambda: sequential(
        (position, "x -> pos"),
        (
            pyg.PointGNNConv(pyg.MLP([C, 3]), mlp(C + 3), mlp()),
            "x, pos, edge_index -> x",
        ),
    ),
    "MeshCNNConv": lambda: pyg.MeshCNNConv(C, C),
}
# By themselves on no level; how they can be used stands above.
NEED_MORE: dict[str, tuple[Callable[[], Module], str]] = {
    "GCN2Conv": (lambda: pyg.GCN2Conv(C, alpha=0.5), "'x_0'"),
    "FAConv": (lambda: pyg.FAConv(C), "'x_0'"),
    "DNAConv": (lambda: pyg.DNAConv(C), r"\[num_nodes, num_layers, channels\]"),
    "SignedConv": (
        lambda: pyg.SignedConv(C, C, True),
        "'pos_edge_index', 'neg_edge_index'",
    ),
    "PointNetConv": (lambda: pyg.PointNetConv(), "'pos'"),
    "PPFConv": (lambda: pyg.PPFConv(), "'pos', 'normal'"),
    "PointTransformerConv": (lambda: pyg.PointTransformerConv(C, C), "'pos'"),
    "PointGNNConv": (lambda: pyg.PointGNNConv(mlp(), mlp(), mlp()), "'pos'"),
    "HypergraphConv": (lambda: pyg.HypergraphConv(C, C), "'hyperedge_index'"),
    "RGCNConv": (lambda: pyg.RGCNConv(C, C, 2), "needs 'edge_type'"),
    "FastRGCNConv": (lambda: pyg.FastRGCNConv(C, C, 2), "needs 'edge_type'"),
    "RGATConv": (lambda: pyg.RGATConv(C, C, 2), "needs 'edge_type'"),
    "FiLMConv": (lambda: pyg.FiLMConv(C, C, 2), "needs 'edge_type'"),
    "HEATConv": (
        lambda: pyg.HEATConv(C, C, 2, 2, 2, 1, 2),
        "'node_type', 'edge_type'",
    ),
    "WLConv": (lambda: pyg.WLConv(), "Take WLConvContinuous"),
    "GINEConv": (lambda: pyg.GINEConv(mlp(), edge_dim=3), "'edge_dim=1'"),
    "NNConv": (lambda: pyg.NNConv(C, C, Linear(3, C * C)), "'edge_dim=1'"),
}
EXCLUDED = {
    "MessagePassing": "the base class",
    "CuGraphSAGEConv": "needs pylibcugraphops, which is for CUDA alone",
    "CuGraphGATConv": "needs pylibcugraphops, which is for CUDA alone",
    "CuGraphRGCNConv": "needs pylibcugraphops, which is for CUDA alone",
    "FusedGATConv": "needs dgNN, which is for CUDA alone; takes CSR and CSC",
    "HGTConv": "heterogeneous: takes a dictionary of features",
    "HANConv": "heterogeneous: takes a dictionary of features",
    "HeteroConv": "heterogeneous: takes a dictionary of features",
}
EVERY_LEVEL = BY_EDGE_WEIGHT | BY_EDGE_ATTR | AS_DENSE | OWN_EDGES
