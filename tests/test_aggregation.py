"""PyG's aggregations as readout of a pooled level, by `to_sparse`."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import Linear
from torch_geometric import nn as pyg
from torch_geometric.nn import aggr
from torch_geometric.nn.aggr import Aggregation
from torch_geometric.nn.aggr import __all__ as every_aggregation

from graphs import sample
from pyg_diffpool import diff_pool, readout

C, B = 4, 4
SAMPLE = sample([5, 3, 7, 0], channels=C).to(torch.float)  # the last graph is empty
SIZES = [4, 3, 4, 0]  # clusters of each graph
DEGREES = torch.tensor([1, 2, 3, 2])

AGGREGATIONS: dict[str, Callable[[], Aggregation]] = {
    "MultiAggregation": lambda: aggr.MultiAggregation(["mean", "max"]),
    "SumAggregation": aggr.SumAggregation,
    "MeanAggregation": aggr.MeanAggregation,
    "MaxAggregation": aggr.MaxAggregation,
    "MinAggregation": aggr.MinAggregation,
    "MulAggregation": aggr.MulAggregation,
    "VarAggregation": aggr.VarAggregation,
    "StdAggregation": aggr.StdAggregation,
    "SoftmaxAggregation": lambda: aggr.SoftmaxAggregation(learn=True),
    "PowerMeanAggregation": lambda: aggr.PowerMeanAggregation(p=2.0, learn=True),
    "MedianAggregation": aggr.MedianAggregation,
    "QuantileAggregation": lambda: aggr.QuantileAggregation([0.2, 0.8]),
    "LSTMAggregation": lambda: aggr.LSTMAggregation(C, C),
    "GRUAggregation": lambda: aggr.GRUAggregation(C, C),
    "Set2Set": lambda: aggr.Set2Set(C, processing_steps=2),
    "DegreeScalerAggregation": lambda: aggr.DegreeScalerAggregation(
        ["mean"], ["identity", "amplification"], DEGREES
    ),
    "SortAggregation": lambda: aggr.SortAggregation(k=2),
    "GraphMultisetTransformer": lambda: aggr.GraphMultisetTransformer(C, k=2),
    "AttentionalAggregation": lambda: aggr.AttentionalAggregation(Linear(C, 1)),
    "EquilibriumAggregation": lambda: aggr.EquilibriumAggregation(C, C, [8]),
    "MLPAggregation": lambda: aggr.MLPAggregation(C, C, 4, num_layers=1),
    "DeepSetsAggregation": lambda: aggr.DeepSetsAggregation(Linear(C, C), None),
    "SetTransformerAggregation": lambda: aggr.SetTransformerAggregation(C),
    "LCMAggregation": lambda: aggr.LCMAggregation(C, C),
    "VariancePreservingAggregation": aggr.VariancePreservingAggregation,
    "PatchTransformerAggregation": lambda: aggr.PatchTransformerAggregation(
        C, C, patch_size=2, hidden_channels=8
    ),
}
# PyG's see their own padding: each graph is filled up to the largest.
FILLED_UP = ["LSTMAggregation", "GRUAggregation", "LCMAggregation"]
NOT_TRIED = {"Aggregation": "the base class"}


def pooled() -> tuple[Tensor, Tensor]:
    """The clusters of all graphs, and the graph of each."""
    out = diff_pool(
        SAMPLE.x.clone().requires_grad_(),
        SAMPLE.edge_index,
        SAMPLE.s,
        batch=SAMPLE.batch,
        batch_size=B,
        num_clusters=torch.tensor([4, 3, 4, 1]),
    )
    x, _, _, batch = out.to_sparse()
    return x, batch


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_reads_out_each_graph(name: str) -> None:
    if not hasattr(aggr, name):
        pytest.skip(f"torch_geometric has no {name}")
    if name == "GraphMultisetTransformer" and torch.__version__ < (2, 5):
        pytest.skip("a graph of one node makes it NaN with this torch")
    torch.manual_seed(0)
    aggregation = AGGREGATIONS[name]().eval()
    x, batch = pooled()
    filled = {"max_num_elements": max(SIZES)} if name in FILLED_UP else {}
    assert batch.bincount(minlength=B).tolist() == SIZES
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # PyG's, of nested tensors
        out = aggregation(x, batch, dim_size=B)
        alone = [aggregation(p, dim_size=1, **filled) for p in x.split(SIZES)[:3]]
    assert out.size(0) == B
    assert out.isfinite().all()
    if name != "EquilibriumAggregation":  # which descends on all graphs together
        torch.testing.assert_close(out[:3], torch.cat(alone))
    (grad,) = torch.autograd.grad(out.square().sum(), x)
    assert grad.isfinite().all()
    assert grad.any()


def test_the_table_names_every_aggregation() -> None:
    unknown = [n for n in every_aggregation if n not in AGGREGATIONS | NOT_TRIED]
    assert not unknown, f"torch_geometric has aggregations not tried: {unknown}."


@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
def test_readout_is_one_of_them(reduce: str) -> None:
    x, batch = pooled()
    expected = pyg.resolver.aggregation_resolver(reduce)(x, batch, dim_size=B)
    torch.testing.assert_close(readout(x, batch, batch_size=B, reduce=reduce), expected)
