"""Readouts over real nodes only."""

from typing import Any

import numpy
import pytest
import torch
from torch_geometric.nn import global_add_pool, global_max_pool, global_mean_pool

from graphs import ZOO
from pyg_diffpool import readout, to_padded
from pyg_diffpool.readout import perplexity

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


@pytest.mark.parametrize("batch_size", [None, 3, numpy.int64(3), 3.0, torch.tensor(3)])
def test_a_strided_batch(batch_size: Any) -> None:
    batch = torch.tensor([0, 0, 0, 1, 1, 2]).repeat_interleave(2)[::2]
    x = torch.arange(6.0).view(6, 1)
    out = readout(x, batch, batch_size=batch_size, reduce="sum")
    assert out.flatten().tolist() == [3, 7, 5]
    used = perplexity(torch.eye(3)[batch], batch, batch_size=batch_size)
    assert used == 1
    one = torch.zeros(1, dtype=torch.long).expand(6)
    assert readout(x, one, reduce="sum").flatten().tolist() == [15]
    torch.testing.assert_close(perplexity(torch.eye(6), one), torch.tensor(6.0))


@pytest.mark.parametrize("reduce", PYG)
@pytest.mark.parametrize("form", ["flat", "one graph", "padded", "masked"])
def test_on_the_meta_device(form: str, reduce: str) -> None:
    x = torch.zeros((6, 4) if form in ("flat", "one graph") else (3, 2, 4))
    x = x.to("meta").requires_grad_()
    given = {
        "flat": {"batch": torch.zeros(6, dtype=torch.long), "batch_size": 3},
        "masked": {"mask": torch.ones(3, 2, dtype=torch.bool)},
    }.get(form, {})
    given = {k: v if k == "batch_size" else v.to("meta") for k, v in given.items()}
    out = readout(x, reduce=reduce, **given)
    assert out.shape == (1 if form == "one graph" else 3, 4)
    (out.sum() + perplexity(x, **given)).backward()
    assert x.grad.shape == x.shape
