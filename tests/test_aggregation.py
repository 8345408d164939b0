"""PyG's aggregations as readout of a pooled level, by `to_sparse`."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Linear
from torch_geometric.nn import aggr
from torch_geometric.nn.aggr import __all__ as every_aggregation

from graphs import sample
from pyg_diffpool import diff_pool

C, B = 4, 4
SAMPLE = sample([5, 3, 7, 0], channels=C).to(torch.float)  # the last graph is empty
SIZES = [4, 3, 4, 0]  # clusters of each graph
DEGREES = torch.tensor([1, 2, 3, 2])

ARGUMENTS: dict[str, tuple[Any, ...]] = {  # of all others none
    "MultiAggregation": (["mean", "max"],),
    "SoftmaxAggregation": (1.0, True),
    "PowerMeanAggregation": (2.0, True),
    "QuantileAggregation": ([0.2, 0.8],),
    "LSTMAggregation": (C, C),
    "GRUAggregation": (C, C),
    "Set2Set": (C, 2),
    "DegreeScalerAggregation": (["mean"], ["identity", "amplification"], DEGREES),
    "SortAggregation": (2,),
    "GraphMultisetTransformer": (C, 2),
    "AttentionalAggregation": (Linear(C, 1),),
    "EquilibriumAggregation": (C, C, [8]),
    "MLPAggregation": (C, C, 4),
    "DeepSetsAggregation": (Linear(C, C), None),
    "SetTransformerAggregation": (C,),
    "LCMAggregation": (C, C),
    "PatchTransformerAggregation": (C, C, 2, 8),
}
# PyG's see their own padding: each graph is filled up to the largest.
FILLED_UP = ["LSTMAggregation", "GRUAggregation", "LCMAggregation"]


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


@pytest.mark.parametrize("name", sorted({*every_aggregation} - {"Aggregation"}))
def test_reads_out_each_graph(name: str) -> None:
    if name == "GraphMultisetTransformer" and torch.__version__ < (2, 5):
        pytest.skip("a graph of one node makes it NaN with this torch")
    torch.manual_seed(0)
    layers = {"num_layers": 1} if name == "MLPAggregation" else {}
    aggregation = getattr(aggr, name)(*ARGUMENTS.get(name, ()), **layers).eval()
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
