"""Readouts over real nodes only."""

import pytest
import torch
from torch_geometric.nn import global_add_pool, global_max_pool, global_mean_pool

from graphs import ZOO
from pyg_diffpool import readout, to_padded

PYG = {"sum": global_add_pool, "mean": global_mean_pool, "max": global_max_pool}


@pytest.mark.parametrize("reduce", PYG)
@pytest.mark.parametrize("name", ZOO)
def test_equals_pyg(name: str, reduce: str) -> None:
    sample = ZOO[name]
    expected = PYG[reduce](sample.x, sample.batch, sample.batch_size)
    flat = readout(sample.x, sample.batch, batch_size=sample.batch_size, reduce=reduce)
    torch.testing.assert_close(flat, expected)
    x, _, mask = to_padded(
        sample.x, sample.edge_index, sample.batch, batch_size=sample.batch_size
    )
    x = x.masked_fill(~mask.unsqueeze(-1), float("nan"))
    torch.testing.assert_close(readout(x, mask=mask, reduce=reduce), expected)


@pytest.mark.parametrize("reduce", PYG)
def test_a_single_graph(reduce: str) -> None:
    x = torch.randn(4, 3)
    expected = getattr(x, {"sum": "sum", "mean": "mean", "max": "amax"}[reduce])(0)
    torch.testing.assert_close(readout(x, reduce=reduce)[0], expected)
    torch.testing.assert_close(readout(x.unsqueeze(0), reduce=reduce)[0], expected)


@pytest.mark.parametrize("reduce", PYG)
def test_gradcheck(reduce: str) -> None:
    sample = ZOO["empty graph in the middle"]
    x = sample.x.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: readout(x, sample.batch, batch_size=3, reduce=reduce), x
    )
