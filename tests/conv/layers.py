"""How each layer, model and norm of PyG is made, and what it can be used for.

Every layer takes C channels. A layer or norm that PyG adds must be put into one of
these tables; `test_the_tables_name_everything` fails until it is.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import Linear, Module, ReLU
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


DEGREES = torch.tensor([1, 2, 3, 2])


def weighted(*steps: object) -> Module:
    return pyg.Sequential("x, edge_index, edge_weight, batch", list(steps))


def jumping(mode: str, width: int) -> Module:
    return weighted(
        (pyg.GCNConv(C, C), "x, edge_index, edge_weight -> x1"),
        (pyg.GraphConv(C, C), "x1, edge_index, edge_weight -> x2"),
        (lambda a, b: [a, b], "x1, x2 -> xs"),
        (pyg.JumpingKnowledge(mode, C, 1), "xs -> x"),
        Linear(width, C),
    )


def attending() -> Module:
    layer = (pyg.GPSConv(8, pyg.SAGEConv(8, 8)).eval(), "x, edge_index, batch -> x")
    return pyg.Sequential("x, edge_index, batch", [(Linear(C, 8), "x -> x"), layer])


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
BY_EDGE_WEIGHT |= {
    "GCNConv improved": lambda: pyg.GCNConv(C, 5, improved=True, bias=False),
    "GCNConv without loops": lambda: pyg.GCNConv(C, 5, add_self_loops=False),
    "GCNConv reversed": lambda: pyg.GCNConv(C, 5, flow="target_to_source"),
    "GCNConv cached": lambda: pyg.GCNConv(C, 5, cached=True),
    "GCNConv narrowing": lambda: pyg.GCNConv(C, 1),
    "GraphConv narrowing": lambda: pyg.GraphConv(C, 1, bias=False),
    "GraphConv mean": lambda: pyg.GraphConv(C, 5, aggr="mean"),
    "GCN": lambda: pyg.GCN(C, 8, 2, C, norm="GraphNorm"),
    "GCN, batch norm": lambda: pyg.GCN(C, 8, 2, 5, norm="BatchNorm"),
    "GCN, lstm": lambda: pyg.GCN(C, 8, 2, C, jk="lstm"),
    "GCN, steps": lambda: weighted(
        (pyg.GCNConv(C, 8), "x, edge_index, edge_weight -> x"), ReLU(), Linear(8, C)
    ),
    "DeepGCN res+": lambda: pyg.DeepGCNLayer(
        pyg.GCNConv(C, C), pyg.LayerNorm(C), ReLU()
    ),
    "GPS, performer": lambda: pyg.GPSConv(
        C, pyg.GCNConv(C, C), heads=2, attn_type="performer"
    ),
    "GraphUNet": lambda: pyg.GraphUNet(C, 8, C, depth=1),
    "JumpingKnowledge cat": lambda: jumping("cat", 2 * C),
    "JumpingKnowledge lstm": lambda: jumping("lstm", C),
}
# as `edge_attr`, if the layer is built for one channel of edge features (of d),
BY_EDGE_FEATURES: dict[str, Callable[[int], Module]] = {
    "ResGatedGraphConv": lambda d: pyg.ResGatedGraphConv(C, C, edge_dim=d),
    "GATConv": lambda d: pyg.GATConv(C, C, heads=2, concat=False, edge_dim=d),
    "GATv2Conv": lambda d: pyg.GATv2Conv(C, C, edge_dim=d),
    "TransformerConv": lambda d: pyg.TransformerConv(C, C, edge_dim=d),
    "GINEConv": lambda d: pyg.GINEConv(mlp(), edge_dim=d),
    "GMMConv": lambda d: pyg.GMMConv(C, C, dim=d, kernel_size=2),
    "NNConv": lambda d: pyg.NNConv(C, C, Linear(d, C * C)),
    "CGConv": lambda d: pyg.CGConv(C, dim=d),
    "PNAConv": lambda d: pyg.PNAConv(
        C, C, ["mean", "max"], ["identity"], DEGREES, edge_dim=d
    ),
    "GENConv": lambda d: pyg.GENConv(C, C, edge_dim=d, norm="layer"),
    "PDNConv": lambda d: pyg.PDNConv(C, C, edge_dim=d, hidden_channels=8),
    "GeneralConv": lambda d: pyg.GeneralConv(C, C, in_edge_channels=d),
    "GAT": lambda d: pyg.GAT(C, 8, 2, C, edge_dim=d, heads=2, jk="max"),
    "GAT, v2": lambda d: pyg.GAT(C, 8, 2, C, edge_dim=d, v2=True, norm="InstanceNorm"),
    "PNA": lambda d: pyg.PNA(
        C, 8, 2, C, aggregators=["std"], scalers=["linear"], deg=DEGREES, edge_dim=d
    ),
    "GPS, edge features": lambda d: pyg.GPSConv(
        C, pyg.GINEConv(Linear(C, C), edge_dim=d), heads=2
    ),
}
BY_EDGE_ATTR = {name: partial(make, 1) for name, make in BY_EDGE_FEATURES.items()}
BY_EDGE_ATTR["SplineConv"] = lambda: pyg.SplineConv(C, C, dim=1, kernel_size=2)
NEED_WEIGHTS = [  # which are given ones on an unweighted graph
    "ResGatedGraphConv",
    "TransformerConv",
    "GINEConv",
    "GMMConv",
    "SplineConv",
    "NNConv",
    "CGConv",
    "PNAConv",
    "PNA",
    "FAConv",
    "GPS, edge features",
]
# or as in PyG's dense layer of the same arithmetic.
AS_DENSE: Table = {
    "SAGEConv": lambda: pyg.SAGEConv(C, C),
    "GINConv": lambda: pyg.GINConv(mlp(), train_eps=True),
    "SAGEConv normalised": lambda: pyg.SAGEConv(C, 5, normalize=True, project=True),
    "SAGEConv sum": lambda: pyg.SAGEConv(C, 5, aggr="sum", root_weight=False),
    "SAGEConv narrowing": lambda: pyg.SAGEConv(C, 1),
    "SAGEConv narrowing sum": lambda: pyg.SAGEConv(C, 1, aggr="sum", bias=False),
    "SAGEConv narrowing reversed": lambda: pyg.SAGEConv(C, 1, flow="target_to_source"),
    "SAGEConv reversed": lambda: pyg.SAGEConv(C, 5, flow="target_to_source"),
    "GraphSAGE": lambda: pyg.GraphSAGE(C, 8, 2, C, norm="PairNorm"),
    "GraphSAGE, cat": lambda: pyg.GraphSAGE(C, 8, 3, 5, jk="cat", norm="GraphNorm"),
    "GIN": lambda: pyg.GIN(C, 8, 2, C, jk="cat"),
    "GPS, sums": attending,
}
NORMS: Table = {
    "BatchNorm": lambda: pyg.BatchNorm(C),
    "InstanceNorm": lambda: pyg.InstanceNorm(C),
    "LayerNorm": lambda: pyg.LayerNorm(C),
    "GraphNorm": lambda: pyg.GraphNorm(C),
    "GraphSizeNorm": lambda: pyg.GraphSizeNorm(),
    "PairNorm": lambda: pyg.PairNorm(),
    "MeanSubtractionNorm": lambda: pyg.MeanSubtractionNorm(),
    "MessageNorm": lambda: pyg.MessageNorm(),
    "DiffGroupNorm": lambda: pyg.DiffGroupNorm(C, groups=2),
}


def with_norm(name: str) -> Module:
    taken = {"BatchNorm": "x1", "DiffGroupNorm": "x1", "MessageNorm": "x, x1"}
    return weighted(
        (pyg.GCNConv(C, C), "x, edge_index, edge_weight -> x1"),
        (NORMS[name](), f"{taken.get(name, 'x1, batch')} -> x1"),
    )


BY_EDGE_WEIGHT |= {f"with {name}": partial(with_norm, name) for name in NORMS}
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
# On every level, of rows alone.
NO_EDGES: Table = {
    "MLP": lambda: pyg.MLP([C, 8, 5]),
    "Linear": lambda: Linear(C, 5),
    "GPS, attention alone": lambda: pyg.GPSConv(C, None, heads=2),
    **{name: make for name, make in NORMS.items() if name != "MessageNorm"},
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
    "SAGEConv max": lambda: pyg.SAGEConv(C, 5, aggr="max"),
    "GATConv plain": lambda: pyg.GATConv(C, 5, heads=2),
    "GAT, plain": lambda: pyg.GAT(C, 8, 2, C),
    "GAT, plain v2": lambda: pyg.GAT(C, 8, 2, 5, v2=True),
    "PNA, plain": lambda: pyg.PNA(
        C, 8, 2, C, aggregators=["mean"], scalers=["identity"], deg=DEGREES
    ),
    "EdgeCNN": lambda: pyg.EdgeCNN(C, 8, 2, C),
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
    "HEATConv": (lambda: pyg.HEATConv(C, C, 2, 2, 2, 1, 2), "'node_type', 'edge_type'"),
    "WLConv": (lambda: pyg.WLConv(), "Take WLConvContinuous"),
    "GINEConv": (lambda: pyg.GINEConv(mlp(), edge_dim=3), "'edge_dim=1'"),
    "NNConv": (lambda: pyg.NNConv(C, C, Linear(3, C * C)), "'edge_dim=1'"),
}
HETEROGENEOUS = ["HGTConv", "HANConv", "HeteroConv"]
HETEROGENEOUS += ["HeteroBatchNorm", "HeteroLayerNorm"]
CUDA_ALONE = ["CuGraphSAGEConv", "CuGraphGATConv", "CuGraphRGCNConv", "FusedGATConv"]
EXCLUDED = ["MessagePassing", *HETEROGENEOUS, *CUDA_ALONE]
UNUSED_EDGES = OWN_EDGES | NO_EDGES
EVERY_LEVEL = BY_EDGE_WEIGHT | BY_EDGE_ATTR | AS_DENSE | UNUSED_EDGES
