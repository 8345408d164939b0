"""Sparse to padded and back."""

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.utils import to_dense_adj, to_dense_batch

from graphs import ZOO, pad
from pyg_diffpool import to_flat, to_padded


@pytest.mark.parametrize("extra", [None, 0, 3])
@pytest.mark.parametrize("name", ZOO)
def test_equals_pyg(name, extra):
    sample = ZOO[name]
    m = int(sample.batch.bincount().max())
    size = {} if extra is None else {"max_num_nodes": m + extra}
    out = pad(sample, sample.x, **size)
    size = {"max_num_nodes": m, **size, "batch_size": sample.batch_size}
    x, mask = to_dense_batch(sample.x, sample.batch, **size)
    adj = to_dense_adj(sample.edge_index, sample.batch, sample.weights, **size)
    assert_close(tuple(out), (x, adj, mask))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_keeps_the_dtype(dtype):
    sample = ZOO["weighted"].to(dtype)
    out = pad(sample, sample.x)
    assert out.x.dtype == out.adj.dtype == dtype


@pytest.mark.parametrize("name", ZOO)
def test_round_trip(name):
    sample = ZOO[name]
    blocks = pad(sample, sample.x)
    x, edge_index, edge_weight, batch = to_flat(*blocks)
    assert_close(x, sample.x)
    assert_close(batch, sample.batch)
    again = to_padded(x, edge_index, batch, edge_weight, batch_size=sample.batch_size)
    assert_close(again, blocks)


def test_nan_stays_where_it_is():
    sample = ZOO["ordinary"]
    x = sample.x.clone()
    x[0, 0] = float("nan")
    out = pad(sample, x)
    assert out.x.isnan().sum() == 1
    assert out.x[0, 0, 0].isnan()


def test_one_graph_needs_no_batch():
    sample = ZOO["one-way path"]
    out = to_padded(sample.x, sample.edge_index)
    assert_close(out, pad(sample, sample.x))


def test_to_flat_leaves_out_what_padding_holds():
    sample = ZOO["weighted"]
    blocks = pad(sample, sample.x)
    hidden = ~blocks.mask
    adj = blocks.adj.masked_fill(hidden.unsqueeze(1) | hidden.unsqueeze(2), 7.0)
    x = blocks.x.masked_fill(hidden.unsqueeze(2), 7.0)
    assert_close(to_flat(x, adj, blocks.mask), to_flat(*blocks))
