"""The arithmetic that no DiffPool operator can avoid."""

import torch
from torch_geometric.index import index2ptr
from torch_geometric.utils import coalesce

from benchmarks.batches import PoolingBatch
from benchmarks.timing import Call


def floor(batch: PoolingBatch) -> Call:
    """Two sparse products `A S` and three dense ones of the size of the forward's.

    That is `S^T [Z | A S | S]` as a single product over all nodes at once, with the
    adjacency in compressed rows, by int32, and all operands in place beforehand.
    """
    n = batch.x.size(0)
    row, col = coalesce(batch.edge_index)
    adj = torch.sparse_csr_tensor(
        index2ptr(row, n).int(),
        col.int(),
        torch.ones(row.numel()),
        (n, n),
        check_invariants=False,
    )
    s = batch.s
    right = torch.cat([batch.x, s, s], -1)

    def run() -> None:
        for _ in range(2):
            adj @ s
        for _ in range(3):
            s.t() @ right

    return run
