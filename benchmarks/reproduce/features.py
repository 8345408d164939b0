"""Node features that all methods see."""

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce, degree, one_hot, remove_self_loops

DEGREE_BINS = 48
"""Four to each doubling of 1 + degree; degrees from 3,444 on share the last."""

_DENSE = 512


def with_features(data: Data) -> Data:
    """Node attributes, labels and log degree; or else what the structure says.

    That is the degree in bins, its logarithm, and the clustering coefficient, which
    the reference code of Ying et al. 2018 offers too.
    """
    degrees = degree(data.edge_index[0], data.num_nodes)
    logarithm = degrees.log1p().unsqueeze(1)
    if data.x is not None:
        data.x = torch.cat([data.x, logarithm], 1)
        return data
    bins = (4 * (1 + degrees).log2()).floor().long().clamp(max=DEGREE_BINS - 1)
    triangles = clustering_coefficient(data.edge_index, data.num_nodes).unsqueeze(1)
    data.x = torch.cat([one_hot(bins, DEGREE_BINS), logarithm, triangles], 1)
    return data


def clustering_coefficient(
    edge_index: Tensor,  # [2, E], both directions
    num_nodes: int,
) -> Tensor:
    """The share of the pairs of neighbours that are linked, 0 without pairs, `[n]`.

    By dense products for graphs of up to 512 nodes, by sparse ones above.
    """
    row, col = coalesce(remove_self_loops(edge_index)[0], num_nodes=num_nodes)
    degrees = degree(row, num_nodes)
    adj = torch.sparse_coo_tensor(
        torch.stack([row, col]),
        torch.ones(row.numel()),
        (num_nodes, num_nodes),
        is_coalesced=True,
        check_invariants=False,
    )
    if num_nodes <= _DENSE:
        dense = adj.to_dense()
        closed = ((dense @ dense) * dense).sum(1)
    else:
        closed = (torch.sparse.mm(adj, adj) * adj).sum(1).to_dense()
    share: Tensor = closed / (degrees * (degrees - 1)).clamp(min=1)
    return share
