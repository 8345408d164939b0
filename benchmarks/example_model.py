"""PyG's example model for DiffPool, and the same with this package.

After `examples/proteins_diff_pool.py` of PyG 2.8: two levels of 38 and 10 clusters (a
quarter of the example's 150 nodes, and a quarter of that), each with a GNN of three
`SAGE` layers of 64 channels for the embedding and one for the assignment, batch norm
after each layer, layers concatenated, a last GNN, the mean, and two linear layers. The
last GNN, over 10 clusters, is PyG's dense one on both sides.

Both sides have the same layers and widths but for one: the third layer of the
assignment GNN gives K channels there and 64 here, as PyG's `GraphSAGE` has it. Batch
norm counts padding there and does not here.
"""

import torch
from torch import Tensor
from torch.nn import (
    BatchNorm1d,
    Identity,
    Linear,
    Module,
    ModuleList,
    ReLU,
    Sequential,
)
from torch_geometric.data import Batch
from torch_geometric.nn import DenseSAGEConv, GraphSAGE, dense_diff_pool
from torch_geometric.utils import to_dense_adj, to_dense_batch

from pyg_diffpool import DiffPool

HIDDEN = 64
CLUSTERS = (38, 10)
Output = tuple[Tensor, Tensor]  # logits [B, classes], the auxiliary losses []


class DenseGNN(Module):
    """Three dense layers with batch norm over all rows, concatenated."""

    def __init__(self, in_channels: int, out_channels: int, lin: bool = False) -> None:
        super().__init__()
        widths = [in_channels, HIDDEN, HIDDEN, out_channels]
        self.convs = ModuleList(map(DenseSAGEConv, widths[:-1], widths[1:]))
        self.norms = ModuleList(map(BatchNorm1d, widths[1:]))
        self.lin = Linear(sum(widths[1:]), out_channels) if lin else None

    def forward(self, x: Tensor, adj: Tensor, mask: Tensor | None = None) -> Tensor:
        """`[B, M, C]` to `[B, M, C']`."""
        layers = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = conv(x, adj, mask).relu()
            x = norm(x.flatten(0, 1)).view(x.shape)
            layers.append(x)
        out = torch.cat(layers, -1)
        return out if self.lin is None else self.lin(out).relu()


class DenseNet(Module):
    """PyG's side."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        widths = [in_channels, 3 * HIDDEN]
        self.embed = ModuleList(DenseGNN(w, HIDDEN) for w in widths)
        self.assign = ModuleList(map(DenseGNN, widths, CLUSTERS, (True, True)))
        self.last = DenseGNN(3 * HIDDEN, HIDDEN)
        self.head = _head(classes)

    def forward(self, x: Tensor, adj: Tensor, mask: Tensor | None = None) -> Output:
        """From a padded mini-batch."""
        losses: list[Tensor] = []
        for embed, assign in zip(self.embed, self.assign, strict=True):
            s, z = assign(x, adj, mask), embed(x, adj, mask)
            x, adj, *both = dense_diff_pool(z, adj, s, mask)
            mask = None
            losses += both
        return self.head(self.last(x, adj).mean(1)), torch.stack(losses).sum()


class PaddingNet(DenseNet):
    """PyG's side, fed with sparse mini-batches padded to their largest graph."""

    def forward(self, data: Batch) -> Output:  # type: ignore[override]
        """From the loader's mini-batch."""
        x, mask = to_dense_batch(data.x, data.batch)
        return super().forward(x, to_dense_adj(data.edge_index, data.batch), mask)


class SparseNet(Module):
    """Our side."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        widths = [in_channels, 3 * HIDDEN]
        self.pools = ModuleList(
            DiffPool(_gnn(width), _gnn(width, k))
            for width, k in zip(widths, CLUSTERS, strict=True)
        )
        self.last = DenseGNN(3 * HIDDEN, HIDDEN)
        self.head = _head(classes)

    def forward(self, data: Batch) -> Output:
        """From the loader's mini-batch."""
        first, second = self.pools
        one = first(data.x, data.edge_index, batch=data.batch)
        two = second(one.x, one.adj, mask=one.mask)
        losses = [one.link_loss, one.entropy_loss, two.link_loss, two.entropy_loss]
        last = self.last(two.x, two.adj)
        return self.head(last.mean(1)), torch.stack(losses).sum()


def _gnn(in_channels: int, clusters: int | None = None) -> GraphSAGE:
    out = 3 * HIDDEN if clusters is None else clusters
    gnn = GraphSAGE(
        in_channels, HIDDEN, 3, out, act_first=True, norm="BatchNorm", jk="cat"
    )
    if clusters is None:
        gnn.lin = Identity()
    return gnn


def _head(classes: int) -> Module:
    return Sequential(Linear(3 * HIDDEN, HIDDEN), ReLU(), Linear(HIDDEN, classes))
