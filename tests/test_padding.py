"""Sparse to padded and back."""

import numpy
import pytest
import torch
from torch_geometric.utils import to_dense_adj, to_dense_batch

from graphs import ZOO
from pyg_diffpool import to_flat, to_padded, unpool


@pytest.mark.parametrize("extra", [None, 0, 3])
@pytest.mark.parametrize("name", ZOO)
def test_equals_pyg(name: str, extra: int | None) -> None:
    sample = ZOO[name]
    m = int(sample.batch.bincount().max())
    size = None if extra is None else m + extra
    out = to_padded(
        sample.x,
        sample.edge_index,
        sample.batch,
        sample.edge_weight,
        max_num_nodes=size,
        batch_size=sample.batch_size,
    )
    x, mask = to_dense_batch(
        sample.x, sample.batch, max_num_nodes=size, batch_size=sample.batch_size
    )
    ones = torch.ones(sample.edge_index.size(1), dtype=torch.double)
    adj = to_dense_adj(
        sample.edge_index,
        sample.batch,
        ones if sample.edge_weight is None else sample.edge_weight,
        max_num_nodes=size or m,
        batch_size=sample.batch_size,
    )
    torch.testing.assert_close(out.x, x)
    torch.testing.assert_close(out.mask, mask)
    torch.testing.assert_close(out.adj, adj)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_keeps_the_dtype(dtype: torch.dtype) -> None:
    sample = ZOO["weighted"].to(dtype)
    out = to_padded(sample.x, sample.edge_index, sample.batch, sample.edge_weight)
    assert out.x.dtype == out.adj.dtype == dtype


@pytest.mark.parametrize("name", ZOO)
def test_round_trip(name: str) -> None:
    sample = ZOO[name]
    padded = to_padded(
        sample.x,
        sample.edge_index,
        sample.batch,
        sample.edge_weight,
        batch_size=sample.batch_size,
    )
    flat = to_flat(*padded)
    torch.testing.assert_close(flat.x, sample.x)
    torch.testing.assert_close(flat.batch, sample.batch)
    again = to_padded(
        flat.x,
        flat.edge_index,
        flat.batch,
        flat.edge_weight,
        batch_size=sample.batch_size,
    )
    torch.testing.assert_close(again, padded)


def test_a_value_that_is_no_number_stays_where_it_is() -> None:
    sample = ZOO["ordinary"]
    x = sample.x.clone()
    x[0, 0] = float("nan")
    out = to_padded(x, sample.edge_index, sample.batch)
    assert out.x.isnan().sum() == 1
    assert out.x[0, 0, 0].isnan()


def test_gradcheck() -> None:
    sample = ZOO["repeated, weighted"]

    def there_and_back(x: torch.Tensor, w: torch.Tensor) -> tuple[torch.Tensor, ...]:
        padded = to_padded(x, sample.edge_index, sample.batch, w, max_num_nodes=4)
        flat = to_flat(*padded)
        return padded.x, padded.adj, flat.x, flat.edge_weight

    inputs = (sample.x.clone(), sample.edge_weight.clone())
    assert torch.autograd.gradcheck(
        there_and_back, tuple(t.requires_grad_() for t in inputs)
    )


def test_a_graph_that_does_not_fit_is_an_error() -> None:
    sample = ZOO["ordinary"]
    with pytest.raises(
        ValueError, match=r"at most 'max_num_nodes' = 6 nodes.*one of 7"
    ):
        to_padded(sample.x, sample.edge_index, sample.batch, max_num_nodes=6)


def test_whole_numbers_of_any_type() -> None:
    sample = ZOO["ordinary"]
    given = (sample.x, sample.edge_index, sample.batch, None)
    expected = to_padded(*given, 8, 3)
    for make in (numpy.int64, float, torch.tensor):
        torch.testing.assert_close(to_padded(*given, make(8), make(3)), expected)
    with pytest.raises(TypeError, match=r"'max_num_nodes' to be a whole.*\(got 8\.5"):
        to_padded(*given, max_num_nodes=8.5)


def test_a_strided_batch() -> None:
    x, edge_index = torch.arange(6.0).view(6, 1), torch.tensor([[0, 3], [1, 4]])
    batch = torch.tensor([0, 0, 0, 1, 1, 2]).repeat_interleave(2)[::2]
    for batch_size in (None, 3):
        out = to_padded(x, edge_index, batch, batch_size=batch_size)
        assert out.x.squeeze(-1).tolist() == [[0, 1, 2], [3, 4, 0], [5, 0, 0]]
        assert out.adj.nonzero().tolist() == [[0, 0, 1], [1, 0, 1]]
    one = torch.zeros(1, dtype=torch.long).expand(6)
    assert to_padded(x, edge_index, one).x.flatten().tolist() == x.flatten().tolist()
    clusters = torch.tensor([[[1.0]], [[2.0]], [[3.0]]])
    nodes = unpool(clusters, torch.ones(6, 1), batch)
    assert nodes.flatten().tolist() == [1, 1, 1, 2, 2, 3]
    assert unpool(clusters[:1], torch.ones(6, 1), one).flatten().tolist() == [1] * 6


def test_on_the_meta_device() -> None:
    sample = ZOO["weighted"]
    floats = (sample.x, sample.edge_weight)
    x, w = (t.to("meta").requires_grad_() for t in floats)
    edge_index, batch = sample.edge_index.to("meta"), sample.batch.to("meta")
    out = to_padded(x, edge_index, batch, w, 8, sample.batch_size)
    assert out.adj.shape == (sample.batch_size, 8, 8)
    (out.x.sum() + out.adj.sum()).backward()
    assert x.grad.shape == x.shape
    assert w.grad.shape == w.shape
    with pytest.raises(ValueError, match="with values"):
        to_flat(*out)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("padded", [False, True])
def test_unpools_on_the_meta_device(padded: bool, dtype: torch.dtype) -> None:
    options = {"device": "meta", "dtype": dtype, "requires_grad": True}
    x = torch.zeros(2, 4, 8, **options)
    s = torch.zeros((2, 3, 4) if padded else (6, 4), **options)
    batch = None if padded else torch.zeros(6, dtype=torch.long, device="meta")
    out = unpool(x, s, batch)
    assert out.shape == ((2, 3, 8) if padded else (6, 8))
    out.sum().backward()
    assert x.grad.shape == x.shape
    assert s.grad.shape == s.shape
