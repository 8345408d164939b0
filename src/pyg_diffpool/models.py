"""Levels stacked, with a classifier: the architecture of the paper."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Module, ModuleList
from torch_geometric.nn import MLP, GraphSAGE
from torch_geometric.nn.inits import reset
from torch_geometric.nn.models.basic_gnn import BasicGNN
from torch_geometric.typing import Adj

from pyg_diffpool.conv import call_gnn
from pyg_diffpool.encoder import ColumnEmbedding
from pyg_diffpool.graphs import padded_graph
from pyg_diffpool.layer import DiffPool
from pyg_diffpool.output import DiffPoolOutput
from pyg_diffpool.pooling import Backend, Link, Normalize
from pyg_diffpool.readout import readout


@dataclass(frozen=True)
class DiffPoolNetOutput:
    """What `DiffPoolNet` gives.

    Attributes:
        out: One row for each graph, `[B, out_channels]`.
        link_loss: Link prediction losses of all levels summed, `[]`.
        entropy_loss: Entropies of all levels summed, `[]`.
        levels: The result of each level.
    """

    out: Tensor  # [B, out_channels]
    link_loss: Tensor  # []
    entropy_loss: Tensor  # []
    levels: tuple[DiffPoolOutput, ...]


class DiffPoolNet(Module):
    r"""Hierarchical graph classifier or regressor (Ying et al. 2018, section 3).

    Each level embeds with one GNN and assigns with another; a last GNN runs on the
    graph that is left. Every GNN has batch norm over real nodes after each layer and
    concatenates its layers before a linear map. The maximum over the nodes is read out
    of every level's embedding and of the last one; an MLP maps their concatenation.

    Args:
        in_channels: Width of float node features; or, for integer features `[N, F]`,
            how many values each of the F columns may take: then the sum of one
            learned embedding a column replaces the features.
        hidden_channels: Width of every embedding.
        out_channels: Width of the result, such as the number of classes.
        num_clusters: K of each level, from the first to the last; a single number is
            one level.
        ratio: Gives each graph `ceil(ratio * n_b)` clusters, at most K, at every
            level. (default: `None`, K)
        num_layers: Layers of each GNN. (default: `3`)
        gnn: The class of the GNNs, one of PyG's `BasicGNN` models whose layers can
            use edge weights. (default: `torch_geometric.nn.GraphSAGE`)
        dropout: Probability of dropout in GNNs and MLP. (default: `0.0`)
        l2_normalize: Whether a `GraphSAGE` scales the output of each layer to unit
            length. (default: `True`)
        link: The link prediction loss, see :func:`diff_pool`.
            (default: `"frobenius"`)
        normalize: By what the losses are divided, see :func:`diff_pool`.
            (default: `True`)
        backend: See :func:`diff_pool`. (default: `"auto"`)
        sync_losses: Under `DistributedDataParallel`, compute the losses of the joined
            mini-batch of all processes, see :func:`diff_pool`. (default: `False`)

    Raises:
        ValueError: If `num_clusters` is empty or holds a number below 1.

    Example:
        >>> import torch
        >>> from pyg_diffpool import DiffPoolNet
        >>> net = DiffPoolNet(8, 16, 3, num_clusters=[4, 2])
        >>> x, batch = torch.randn(5, 8), torch.tensor([0, 0, 0, 1, 1])
        >>> edge_index = torch.tensor([[0, 1, 3, 4], [1, 0, 4, 3]])
        >>> net(x, edge_index, batch=batch).out.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        hidden_channels: int,
        out_channels: int,
        num_clusters: int | Sequence[int],
        *,
        ratio: float | None = None,
        num_layers: int = 3,
        gnn: type[BasicGNN] = GraphSAGE,
        dropout: float = 0.0,
        l2_normalize: bool = True,
        link: Link = "frobenius",
        normalize: Normalize = True,
        backend: Backend = "auto",
        sync_losses: bool = False,
    ) -> None:
        super().__init__()
        clusters = [num_clusters] if isinstance(num_clusters, int) else [*num_clusters]
        if not clusters or min(clusters) < 1:
            raise ValueError(
                "Expected 'num_clusters' with one number of at least 1 for each level "
                f"(got {num_clusters})."
            )

        def make_gnn(in_channels: int, out_channels: int) -> BasicGNN:
            return gnn(
                in_channels,
                hidden_channels,
                num_layers,
                out_channels,
                dropout=dropout,
                act_first=True,
                norm="BatchNorm",
                norm_kwargs={"allow_single_element": True},
                jk="cat",
                **({"normalize": l2_normalize} if gnn is GraphSAGE else {}),
            )

        self.encoder = None
        if not isinstance(in_channels, int):
            self.encoder = ColumnEmbedding(in_channels, hidden_channels)
            in_channels = hidden_channels
        further = len(clusters) - 1
        widths = [in_channels, *[hidden_channels] * further]
        auto: Backend = "auto"
        backends = [backend, *[auto] * further]  # pooled graphs are dense
        self.pools = ModuleList(
            DiffPool(
                make_gnn(width, hidden_channels),
                make_gnn(width, k),
                ratio,
                link=link,
                normalize=normalize,
                backend=b,
                sync_losses=sync_losses,
            )
            for width, k, b in zip(widths, clusters, backends, strict=True)
        )
        self.last = make_gnn(hidden_channels, hidden_channels)
        read = hidden_channels * (len(clusters) + 1)
        self.mlp = MLP(
            [read, hidden_channels, out_channels], norm=None, dropout=dropout
        )

    def reset_parameters(self) -> None:
        """Reset all learnable parameters."""
        for part in (self.encoder, self.pools, self.last, self.mlp):
            reset(part)

    def forward(
        self,
        x: Tensor,  # [N, C], or [N, F] integer
        adj: Adj,  # [2, E] or sparse [N, N]
        edge_weight: Tensor | None = None,  # [E]
        batch: Tensor | None = None,  # [N]
        batch_size: int | None = None,
    ) -> DiffPoolNetOutput:
        """Run on a sparse mini-batch; arguments as in :func:`diff_pool`."""
        if self.encoder is not None:
            x = self.encoder(x)
        first, *further = self.pools
        out = first(x, adj, edge_weight, batch, batch_size=batch_size)
        levels = [out]
        size = out.x.size(0)
        read = [readout(out.embedding, batch, batch_size=size)]
        for pool in further:
            mask = out.mask
            out = pool(out.x, out.adj, mask=mask)
            levels.append(out)
            read.append(readout(out.embedding, mask=mask))
        graph = padded_graph(out.x, out.adj, out.mask)
        rows = call_gnn(self.last, graph.rows(out.x), graph)
        read.append(readout(graph.blocks(rows), mask=out.mask))
        return DiffPoolNetOutput(
            self.mlp(torch.cat(read, -1)),
            torch.stack([level.link_loss for level in levels]).sum(),
            torch.stack([level.entropy_loss for level in levels]).sum(),
            tuple(levels),
        )
