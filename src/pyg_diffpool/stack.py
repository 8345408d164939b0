"""Levels stacked, with GNNs of one form."""

from collections.abc import Callable, Sequence

from torch.nn import ModuleList
from torch_geometric.nn import GraphSAGE
from torch_geometric.nn.models.basic_gnn import BasicGNN

from pyg_diffpool.layer import DiffPool
from pyg_diffpool.norm import NodeBatchNorm
from pyg_diffpool.options import Options


def cluster_numbers(num_clusters: int | Sequence[int]) -> list[int]:
    """K of each level, checked."""
    clusters = [num_clusters] if isinstance(num_clusters, int) else [*num_clusters]
    if not clusters or min(clusters) < 1:
        raise ValueError(
            "Expected 'num_clusters' with one number of at least 1 for each level "
            f"(got {num_clusters})."
        )
    return clusters


def normalized_gnn(
    gnn: type[BasicGNN],
    in_channels: int,
    out_channels: int,
    *,
    hidden_channels: int,
    num_layers: int,
    dropout: float,
    l2_normalize: bool,
    edge_dim: int | None = None,
) -> BasicGNN:
    """A GNN with batch norm after each layer, its layers joined by a linear map."""
    return gnn(
        in_channels,
        hidden_channels,
        num_layers,
        out_channels,
        dropout=dropout,
        act_first=True,
        norm=NodeBatchNorm(hidden_channels),
        jk="cat",
        **({"normalize": l2_normalize} if gnn is GraphSAGE else {}),
        **({} if edge_dim is None else {"edge_dim": edge_dim}),
    )


def make_pools(
    make_gnn: Callable[[int, int], BasicGNN],
    widths: Sequence[int],  # one more than levels
    clusters: Sequence[int | None],
    ratio: float | None,
    options: Options,
) -> ModuleList:
    """The levels.

    Args:
        make_gnn: From the widths before and after it to a GNN.
        widths: Of the nodes before each level, and after the last.
        clusters: K of each level, or `None` where the assignment is given.
        ratio: See :class:`DiffPool`.
        options: For the first level. Further ones choose their backend by themselves,
            since pooled graphs are dense.
    """
    pools = ModuleList()
    for before, after, k in zip(widths[:-1], widths[1:], clusters, strict=True):
        embed = make_gnn(before, after)
        assign = None if k is None else make_gnn(before, k)
        pools.append(DiffPool(embed, assign, ratio, **options._asdict()))
        options = options._replace(backend="auto")
    return pools
