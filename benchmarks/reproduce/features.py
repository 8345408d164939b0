"""Node features that all methods see."""

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import (
    coalesce,
    degree,
    one_hot,
    remove_self_loops,
    scatter,
)

DEGREE_BINS = 48
"""Four to each doubling of 1 + degree; degrees from 3,444 on share the last."""

_DENSE = 512


def with_features(data: Data) -> Data:
    """Node attributes, labels and log degree; or else what the structure says.

    That is the degree in bins, its logarithm, and `triangle_features`.
    """
    degrees = degree(data.edge_index[0], data.num_nodes)
    logarithm = degrees.log1p().unsqueeze(1)
    if data.x is not None:
        data.x = torch.cat([data.x, logarithm], 1)
        return data
    bins = (4 * (1 + degrees).log2()).floor().long().clamp(max=DEGREE_BINS - 1)
    triangles = triangle_features(data.edge_index, data.num_nodes)
    data.x = torch.cat([one_hot(bins, DEGREE_BINS), logarithm, triangles], 1)
    return data


def triangle_features(
    edge_index: Tensor,  # [2, E], both directions
    num_nodes: int,
) -> Tensor:
    """The clustering coefficient, and how many neighbours linked nodes share, `[n, 5]`.

    The first, the share of the pairs of neighbours that are linked, the reference code
    of Ying et al. 2018 offers too. The others are the least, mean and largest logarithm
    of 1 + common neighbours over a node's edges, and its deviation: graphs of who
    worked with whom are joined cliques, and these tell how large a node's are.
    """
    row, common = common_neighbors(edge_index, num_nodes)
    degrees = degree(row, num_nodes)

    def over_edges(value: Tensor, reduce: str) -> Tensor:
        out: Tensor = scatter(value, row, 0, num_nodes, reduce)
        return out

    pairs = degrees * (degrees - 1)
    clustering = over_edges(common, "sum") / pairs.clamp(min=1)
    shared = common.log1p()
    least, mean, most = (over_edges(shared, r) for r in ("min", "mean", "max"))
    variance = over_edges(shared.square(), "mean") - mean.square()
    deviation = variance.clamp(min=0).sqrt()
    return torch.stack([clustering, least, mean, most, deviation], 1)


def common_neighbors(
    edge_index: Tensor,  # [2, E], both directions
    num_nodes: int,
) -> tuple[Tensor, Tensor]:
    """The source of each edge and the neighbours that its ends share, `[E']`, `[E']`.

    Without loops and repeated edges. By a dense product for graphs of up to 512 nodes,
    by a sparse one above.
    """
    row, col = coalesce(remove_self_loops(edge_index)[0], num_nodes=num_nodes)
    adj = torch.sparse_coo_tensor(
        torch.stack([row, col]),
        torch.ones(row.numel()),
        (num_nodes, num_nodes),
        is_coalesced=True,
        check_invariants=False,
    )
    if num_nodes <= _DENSE:
        dense = adj.to_dense()
        return row, (dense @ dense)[row, col]
    paths = torch.sparse.mm(adj, adj).coalesce()
    start, end = paths.indices()
    number, wanted = start * num_nodes + end, row * num_nodes + col
    at = torch.searchsorted(number, wanted).clamp(max=number.numel() - 1)
    return row, torch.where(number[at] == wanted, paths.values()[at], 0.0)
