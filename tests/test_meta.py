"""On the meta device everything runs, and gives the shapes and dtypes of the CPU."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import GCN, GraphSAGE

from graphs import sample
from pyg_diffpool import (
    DiffPool,
    DiffPoolNet,
    DiffPoolOutput,
    dense_diff_pool,
    diff_pool,
    readout,
    to_padded,
    unpool,
)
from pyg_diffpool.readout import perplexity

Given = dict[str, Any]
SAMPLE = sample([3, 2, 4], edges=0.5, weighted=True, seed=3).to(torch.float)
BLOCKS = to_padded(SAMPLE.x, SAMPLE.edge_index, SAMPLE.batch)
PADDED_S = to_padded(SAMPLE.s, SAMPLE.edge_index, SAMPLE.batch).x

BATCH = {"batch": SAMPLE.batch, "batch_size": 3}
WEIGHT = {"edge_weight": SAMPLE.edge_weight.abs()}
ATTR = {"edge_attr": torch.ones(SAMPLE.edge_index.size(1), 2)}
BUDGET = {"num_clusters": torch.tensor([3, 4, 2])}
PLAIN = {"x": SAMPLE.x, "adj": SAMPLE.edge_index, **BATCH}
FLAT = {**PLAIN, "s": SAMPLE.s}
GIVEN = {**PLAIN, "s": SAMPLE.s.argmax(-1), "num_clusters": 4}
PADDED = {"x": BLOCKS.x, "adj": BLOCKS.adj, "mask": BLOCKS.mask}
DENSE = {**PADDED, "s": PADDED_S}
DENSE_ATTR = {"edge_attr": BLOCKS.adj.unsqueeze(-1)}
SHARES = {"assignment": SAMPLE.s.softmax(-1)}
SHARES_OF_BLOCKS = {"assignment": PADDED_S.softmax(-1)}
POOLED = {"x": torch.ones(3, 4, 3)}


class TwoLevels(Module):
    """Two levels with budgets that are shares of the graphs."""

    def __init__(self, gnn: type[Module], **options: Any) -> None:
        super().__init__()
        parts = [(3, 4), (8, 2)]
        self.pools = torch.nn.ModuleList(
            DiffPool(gnn(c, 8, 2, **options), gnn(c, 8, 2, k, **options), ratio=0.5)
            for c, k in parts
        )

    def forward(self, **given: Any) -> tuple[DiffPoolOutput, DiffPoolOutput]:
        first, second = self.pools
        below = first(**given)
        return below, second(below.x, below.adj, mask=below.mask)


net = partial(DiffPoolNet, 3, 8, 2, [4, 2], num_layers=2)
bce, mean = partial(diff_pool, link="bce"), partial(diff_pool, edge_reduce="mean")
CASES: dict[str, tuple[Callable[..., Any], Given]] = {
    "diff_pool": (diff_pool, FLAT),
    "diff_pool, weights": (diff_pool, {**FLAT, **WEIGHT}),
    "diff_pool, edge_attr": (diff_pool, {**FLAT, **ATTR}),
    "diff_pool, mean": (mean, {**FLAT, **ATTR, **WEIGHT}),
    "diff_pool, num_clusters": (diff_pool, {**FLAT, **BUDGET}),
    "diff_pool, bce": (bce, {**FLAT, **WEIGHT}),
    "diff_pool, integer s": (diff_pool, GIVEN),
    "diff_pool, not divided": (partial(diff_pool, normalize=False), FLAT),
    "padded": (diff_pool, DENSE),
    "padded, edge_attr": (mean, {**DENSE, **DENSE_ATTR, **BUDGET}),
    "padded, bce": (bce, DENSE),
    "dense_diff_pool": (dense_diff_pool, DENSE),
    "to_padded": (
        partial(to_padded, max_num_nodes=4),
        {"x": SAMPLE.x, "edge_index": SAMPLE.edge_index, **BATCH, **WEIGHT},
    ),
    "readout": (readout, {"x": SAMPLE.x, **BATCH}),
    "readout, mean": (partial(readout, reduce="mean"), {"x": SAMPLE.x, **BATCH}),
    "readout, padded": (readout, {"x": BLOCKS.x, "mask": BLOCKS.mask}),
    "unpool": (unpool, {**POOLED, **SHARES, "batch": SAMPLE.batch}),
    "unpool, padded": (unpool, {**POOLED, **SHARES_OF_BLOCKS}),
    "perplexity": (perplexity, {**SHARES, **BATCH}),
    "perplexity, padded": (perplexity, {**SHARES_OF_BLOCKS, "mask": BLOCKS.mask}),
    "DiffPool, GraphSAGE": (TwoLevels(GraphSAGE), PLAIN),
    # To add self-loops, PyG looks at the values of an edge list.
    "DiffPool, GCN": (TwoLevels(GCN, add_self_loops=False), {**PLAIN, **WEIGHT}),
    "DiffPoolNet": (net(), PLAIN),
    "DiffPoolNet, ratio": (net(ratio=0.5), {**PLAIN, **WEIGHT}),
}


def tensors(result: Any) -> Iterator[Tensor]:
    """All tensors of a result."""
    if isinstance(result, Tensor):
        yield result
    elif result is not None:
        parts = result if isinstance(result, tuple) else vars(result).values()
        for part in parts:
            yield from tensors(part)


def run(call: Callable[..., Any], given: Given, device: str) -> list[Tensor]:
    """All results, and the gradients in float arguments and parameters."""
    leaves: list[Tensor] = []
    moved = dict(given)
    for name in (name for name, value in given.items() if isinstance(value, Tensor)):
        moved[name] = given[name].to(device).detach()
        if moved[name].is_floating_point():
            leaves.append(moved[name].requires_grad_())
    if isinstance(call, Module):
        call = copy.deepcopy(call).to(device)
        leaves += call.parameters()
    found = list(tensors(call(**moved)))
    total = torch.stack([t.sum() for t in found if t.is_floating_point()]).sum()
    return [*found, *torch.autograd.grad(total, leaves, materialize_grads=True)]


@pytest.mark.parametrize("case", CASES)
def test_shapes_and_dtypes_are_those_of_the_cpu(case: str) -> None:
    found, expected = (run(*CASES[case], device) for device in ("meta", "cpu"))
    assert {t.device.type for t in found} == {"meta"}
    shapes = [[(t.shape, t.dtype) for t in all_of] for all_of in (found, expected)]
    assert shapes[0] == shapes[1]


def test_checks_asked_for_by_the_environment_do_not_look_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYG_DIFFPOOL_CHECK", "1")
    x, s = torch.ones(4, 3, device="meta"), torch.ones(4, 2, device="meta")
    edges = torch.zeros(2, 5, dtype=torch.long, device="meta")
    assert diff_pool(x, edges, s, check=True).x.shape == (1, 2, 3)
