"""Other soft clusterings of PyG and torch-geometric-pool."""

from collections.abc import Sequence

from torch import Tensor
from torch_geometric.nn import DMoNPooling, MemPooling, dense_mincut_pool
from torch_geometric.utils import to_dense_adj, to_dense_batch

from benchmarks.batches import PoolingBatch
from benchmarks.methods.diffpool import tgp
from benchmarks.methods.method import Forward, Method, assignment_layer


def mincut(data: PoolingBatch) -> Forward:
    """PyG's MinCut."""

    def forward() -> Sequence[Tensor]:
        x, mask = to_dense_batch(data.x, data.batch)
        s, _ = to_dense_batch(data.s, data.batch)
        adj = to_dense_adj(data.edge_index, data.batch)
        out: Sequence[Tensor] = dense_mincut_pool(x, adj, s, mask)
        return out

    return forward


def dmon(data: PoolingBatch) -> Forward:
    """PyG's DMoN, whose assignment layer is its own."""
    pool = DMoNPooling(data.x.size(1), data.num_clusters)
    pool.mlp.lins[0].load_state_dict(assignment_layer(data).state_dict())

    def forward() -> Sequence[Tensor]:
        x, mask = to_dense_batch(data.x, data.batch)
        adj = to_dense_adj(data.edge_index, data.batch)
        out: Sequence[Tensor] = pool(x, adj, mask)[1:]
        return out

    return forward


def memory(data: PoolingBatch) -> Forward:
    """PyG's memory layer, which pads the nodes and looks at no edge."""
    channels = data.x.size(1)
    pool = MemPooling(channels, channels, heads=4, num_clusters=data.num_clusters)

    def forward() -> Sequence[Tensor]:
        x, _ = pool(data.x, data.batch)
        return (x,)

    return forward


SOFT = (
    Method("PyG dense_mincut_pool", "soft clusters, padded, two cut losses", mincut),
    Method(
        "PyG DMoNPooling",
        "soft clusters, padded, three modularity losses, with the assignment layer",
        dmon,
        with_layer=True,
    ),
    Method(
        "tgp mincut",
        "soft clusters, padded, two cut losses, with the assignment layer",
        tgp("MinCutPooling", batched=True),
        with_layer=True,
    ),
    Method("PyG MemPooling", "soft clusters of nodes, padded, edges unused", memory),
)
