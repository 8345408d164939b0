"""Levels stacked, with GNNs of one form."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import ModuleList
from torch_geometric.nn import GraphSAGE
from torch_geometric.nn.models.basic_gnn import BasicGNN
from torch_geometric.typing import Adj

from pyg_diffpool.given_clusters import GivenLevel
from pyg_diffpool.layer import DiffPool
from pyg_diffpool.norm import NodeBatchNorm
from pyg_diffpool.options import Options
from pyg_diffpool.output import DiffPoolOutput
from pyg_diffpool.readout import readout


def cluster_numbers(num_clusters: int | Sequence[int]) -> list[int]:
    """K of each level, checked."""
    clusters = [num_clusters] if isinstance(num_clusters, int) else [*num_clusters]
    if not clusters or min(clusters) < 1:
        raise ValueError(
            "Expected 'num_clusters' with one number of at least 1 for each level "
            f"(got {num_clusters})."
        )
    return clusters


class GNNForm(NamedTuple):
    """What all GNNs of a network have alike."""

    gnn: type[BasicGNN]
    hidden_channels: int
    num_layers: int
    dropout: float
    l2_normalize: bool = True
    edge_dim: int | None = None

    def make(self, in_channels: int, out_channels: int) -> BasicGNN:
        """A GNN with batch norm after each layer, its layers joined by a linear map."""
        options: dict[str, Any] = {}
        if self.gnn is GraphSAGE:
            options["normalize"] = self.l2_normalize
        if self.edge_dim is not None:
            if not self.gnn.supports_edge_attr:
                raise ValueError(
                    "Expected a 'gnn' with layers for edge features beside 'edge_dim' "
                    f"(got {self.gnn.__name__}). Take GAT or PNA."
                )
            options["edge_dim"] = self.edge_dim
        return self.gnn(
            in_channels,
            self.hidden_channels,
            self.num_layers,
            out_channels,
            dropout=self.dropout,
            act_first=True,
            norm=NodeBatchNorm(self.hidden_channels),
            jk="cat",
            **options,
        )


def make_pools(
    form: GNNForm,
    in_channels: int,
    clusters: Sequence[int | None],
    ratio: float | None,
    options: Options,
) -> ModuleList:
    """The levels.

    Args:
        form: Of their GNNs.
        in_channels: Width of the nodes.
        clusters: K of each level, or `None` where the assignment is given.
        ratio: See :class:`DiffPool`.
        options: For the first level. Further ones choose their backend by themselves,
            since pooled graphs are dense.
    """
    pools = ModuleList()
    for k in clusters:
        embed = form.make(in_channels, form.hidden_channels)
        assign = None if k is None else form.make(in_channels, k)
        in_channels = form.hidden_channels
        pools.append(DiffPool(embed, assign, ratio, **options._asdict()))
        options = options._replace(backend="auto")
    return pools


def run_levels(
    pools: ModuleList,
    x: Tensor,  # [N, C]
    adj: Adj,  # [2, E] or sparse [N, N]
    edge_weight: Tensor | None,  # [E]
    edge_attr: Tensor | None,  # [E, D]
    batch: Tensor | None,  # [N]
    batch_size: int,
    given: Sequence[GivenLevel],
) -> tuple[list[DiffPoolOutput], list[Tensor], Tensor]:
    """Each level on what the one before gave.

    Returns:
        The result of each level, its embedding read out `[B, C]`, and which clusters
        the last one has.
    """
    edges = {"edge_weight": edge_weight, "edge_attr": edge_attr}
    where: dict[str, Any] = {"batch": batch, "batch_size": batch_size}
    levels: list[DiffPoolOutput] = []
    read: list[Tensor] = []
    for pool, (s, k, exists) in zip(pools, given, strict=True):
        out = pool(x, adj, s=s, num_clusters=k, **edges, **where)
        levels.append(out)
        read.append(readout(out.embedding, **where))
        x, adj, edges = out.x, out.adj, {"edge_attr": out.edge_attr}
        mask = out.mask if exists is None else exists
        where = {"mask": mask}
    return levels, read, mask
