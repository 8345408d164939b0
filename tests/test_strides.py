"""However a tensor lies in memory, the results are those of a contiguous one."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import GAT, GraphSAGE

from graphs import sample
from pyg_diffpool import (
    DiffPool,
    DiffPoolNet,
    dense_diff_pool,
    diff_pool,
    readout,
    to_flat,
    to_padded,
    unpool,
)
from pyg_diffpool.readout import perplexity

Given = dict[str, Tensor]
CONTIGUOUS, REDUCE = torch.contiguous_format, ("sum", "mean", "max")
SAMPLE = sample([3, 2, 4], edges=0.5, weighted=True, seed=3)
EDGES, BUDGET = SAMPLE.edge_index.size(1), torch.tensor([3, 4, 2])
ATTR = torch.randn(EDGES, 2, generator=torch.Generator().manual_seed(0)).double()
BLOCKS = to_padded(SAMPLE.x, SAMPLE.edge_index, SAMPLE.batch, SAMPLE.edge_weight.abs())
PADDED_S, *_ = to_padded(SAMPLE.s, SAMPLE.edge_index, SAMPLE.batch)
PADDED_ATTR = BLOCKS.adj.unsqueeze(-1) * torch.tensor([1.0, 2.0])
CLUSTERS = torch.stack([torch.arange(9) % 4, torch.arange(9) % 2], 1)

X, S, BATCH = {"x": SAMPLE.x}, {"s": SAMPLE.s}, {"batch": SAMPLE.batch}
WEIGHT, FEATURES = {"edge_weight": SAMPLE.edge_weight.abs()}, {"edge_attr": ATTR}
MASK = {"mask": BLOCKS.mask}
PLAIN = {**X, "adj": SAMPLE.edge_index, **BATCH}
FLAT = {**PLAIN, **S, **WEIGHT}
GIVEN = {**FLAT, "s": SAMPLE.s.argmax(-1)}
FULL = {**FLAT, **FEATURES, "num_clusters": BUDGET}
PADDED = {"x": BLOCKS.x, "adj": BLOCKS.adj, **MASK}
DENSE = {**PADDED, "s": PADDED_S}
DENSE_FULL = {**DENSE, "edge_attr": PADDED_ATTR, "num_clusters": BUDGET}
DENSE_GIVEN = {**PADDED, "s": PADDED_S.argmax(-1)}
NESTED = {**PLAIN, "clusters": CLUSTERS}
SHARES = {"assignment": SAMPLE.s.softmax(-1), **BATCH}
PADDED_SHARES = {"assignment": PADDED_S.softmax(-1)}
POOLED = {"x": torch.arange(36.0).sin().view(3, 4, 3).double()}


def layer(gnn: type, **options: Any) -> DiffPool:
    """A seeded layer."""
    torch.manual_seed(0)
    return DiffPool(gnn(3, 8, 2, **options), gnn(3, 8, 2, 4, **options)).double()


def net(channels: Any = 3, **options: Any) -> DiffPoolNet:
    """A seeded network."""
    torch.manual_seed(0)
    return DiffPoolNet(channels, 8, 3, [4, 2], num_layers=2, **options).double()


SPARSE, BY_PADDING = (partial(diff_pool, backend=b) for b in ("sparse", "padded"))
CASES: dict[str, tuple[Callable[..., Any], Given]] = {
    "diff_pool": (SPARSE, FULL),
    "diff_pool, no weights": (SPARSE, {**PLAIN, **S}),
    "diff_pool, mean": (partial(SPARSE, edge_reduce="mean"), FULL),
    "diff_pool, bce": (partial(SPARSE, link="bce"), FULL),
    "diff_pool, integer s": (partial(SPARSE, num_clusters=4), GIVEN),
    "diff_pool, one graph": (SPARSE, {**X, **S, "adj": SAMPLE.edge_index}),
    "padding": (BY_PADDING, FULL),
    "padding, bce": (partial(BY_PADDING, link="bce"), FULL),
    "padding, integer s": (partial(BY_PADDING, num_clusters=4), GIVEN),
    "padded": (diff_pool, DENSE_FULL),
    "padded, bce": (partial(diff_pool, link="bce"), DENSE),
    "padded, integer s": (partial(diff_pool, num_clusters=4), DENSE_GIVEN),
    "dense_diff_pool": (dense_diff_pool, DENSE),
    "to_padded": (to_padded, {**X, "edge_index": SAMPLE.edge_index, **BATCH, **WEIGHT}),
    "to_flat": (to_flat, PADDED),
    "unpool": (unpool, {**POOLED, **SHARES}),
    "unpool, padded": (unpool, {**POOLED, **PADDED_SHARES}),
    **{f"readout, {r}": (partial(readout, reduce=r), {**X, **BATCH}) for r in REDUCE},
    **{
        f"readout, padded, {r}": (partial(readout, reduce=r), {"x": BLOCKS.x, **MASK})
        for r in REDUCE
    },
    "perplexity": (perplexity, SHARES),
    "perplexity, padded": (perplexity, {**PADDED_SHARES, **MASK}),
    "DiffPool": (layer(GraphSAGE), {**PLAIN, **WEIGHT}),
    "DiffPool, given s": (DiffPool(), FLAT),
    "DiffPool, edge_attr": (layer(GAT, edge_dim=2), {**PLAIN, **FEATURES}),
    "DiffPool, padded": (layer(GraphSAGE), PADDED),
    "DiffPoolNet": (net(), {**PLAIN, **WEIGHT}),
    "DiffPoolNet, edge_attr": (net(gnn=GAT, edge_dim=2), {**PLAIN, **FEATURES}),
    "DiffPoolNet, clusters": (net(learn_assignment=False), NESTED),
    "DiffPoolNet, integer x": (net([4, 2]), {**PLAIN, **WEIGHT, "x": CLUSTERS}),
}


def column(t: Tensor) -> Tensor:
    """One of three columns of a table."""
    table = t.new_zeros(*t.shape, 3)
    table[..., 1] = t
    return table[..., 1]


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "strided": lambda t: t.repeat_interleave(2, -1)[..., ::2],
    "column": column,
    "rows": lambda t: torch.cat([t[:1], t, t[:1]]).repeat_interleave(3, 0)[3:-3:3],
    "transposed": lambda t: t.movedim(0, -1).contiguous().movedim(-1, 0),
    "expanded": lambda t: t[-1:].expand(t.shape),
}


def leaves_of(result: Any) -> Iterator[Tensor]:
    """All tensors of a result."""
    if isinstance(result, Tensor):
        yield result
    elif result is not None:
        parts = result if isinstance(result, tuple) else vars(result).values()
        for part in parts:
            yield from leaves_of(part)


def run(call: Callable[..., Any], given: Given) -> list[Tensor]:
    """All results, and the gradient of each float argument."""
    given = {name: t.detach() for name, t in given.items()}
    floats = [t.requires_grad_() for t in given.values() if t.is_floating_point()]
    torch.manual_seed(0)
    found = list(leaves_of(call(**given)))
    total = torch.zeros((), dtype=torch.double)
    for t in found:
        if t.is_floating_point():
            total = total + (t.flatten() * torch.arange(t.numel()).cos()).sum()
    return [*found, *torch.autograd.grad(total, floats, materialize_grads=True)]


def check(case: str, layout: str, arguments: Iterable[str]) -> None:
    """The case with these arguments laid out so, and with contiguous copies."""
    call, given = CASES[case]
    laid_out = {name: LAYOUTS[layout](given[name]) for name in arguments}
    if layout != "expanded":
        assert all(torch.equal(t, given[name]) for name, t in laid_out.items())
    copies = {n: t.clone(memory_format=CONTIGUOUS) for n, t in laid_out.items()}
    expected = run(call, {**given, **copies})
    torch.testing.assert_close(run(call, {**given, **laid_out}), expected)


def combinations() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each argument in turn and all at once; a `batch` that is expanded is below."""
    for case, layout in itertools.product(CASES, LAYOUTS):
        names = [n for n in CASES[case][1] if (layout, n) != ("expanded", "batch")]
        yield from ((case, layout, (name,)) for name in names)
        yield case, layout, tuple(names)


@pytest.mark.parametrize(
    ("case", "layout", "arguments"),
    list(combinations()),
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_layout_changes_nothing(
    case: str, layout: str, arguments: tuple[str, ...]
) -> None:
    check(case, layout, arguments)


def test_batch_that_is_every_second_entry() -> None:
    batch = torch.tensor([0, 0, 0, 1, 1, 2]).repeat_interleave(2)[::2]
    x, s = torch.arange(6.0).view(6, 1), torch.zeros(6, 1)
    edge_index = torch.tensor([[0, 1], [1, 0]])
    out = diff_pool(x, edge_index, s, batch=batch)
    assert out.x.flatten().tolist() == [3, 7, 5]


def expanded_batches() -> None:
    """One entry that stands for all, in each case."""
    batch = torch.zeros(1, dtype=torch.long).expand(6)
    edge_index = torch.tensor([[0, 1], [1, 0]])
    out = diff_pool(torch.ones(6, 1), edge_index, torch.zeros(6, 1), batch=batch)
    assert out.x.flatten().tolist() == [6]
    for case, (_, given) in CASES.items():
        if "batch" in given:
            check(case, "expanded", ["batch"])


def test_batch_that_is_one_entry() -> None:
    """In a process of its own, which it once ended."""
    code = "import test_strides; test_strides.expanded_batches()"
    command = [sys.executable, "-X", "faulthandler", "-c", code]
    folder = Path(__file__).parent
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
