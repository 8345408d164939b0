"""Sparse to padded and back."""

import pytest
import torch
from torch_geometric.utils import to_dense_adj, to_dense_batch

from graphs import ZOO
from pyg_diffpool import to_flat, to_padded


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
