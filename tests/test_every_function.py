"""Every function and module, however its tensors lie in memory, and on `meta`."""

import copy
import itertools
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import GAT, GCN, GraphSAGE

from graphs import Arguments, leaves, padded, sample
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

CONTIGUOUS, REDUCE = torch.contiguous_format, ("sum", "mean", "max")
SAMPLE = sample([3, 2, 4], edges=0.5, weighted=True, seed=3).positive
EDGES, BUDGET = SAMPLE.edge_index.size(1), torch.tensor([3, 4, 2])
ATTR = torch.randn(EDGES, 2, generator=torch.Generator().manual_seed(0)).double()
CLUSTERS = torch.stack([torch.arange(9) % 4, torch.arange(9) % 2], 1)
DENSE = padded(SAMPLE)

X, BATCH, MASK = {"x": SAMPLE.x}, {"batch": SAMPLE.batch}, {"mask": DENSE["mask"]}
WEIGHT, FEATURES = {"edge_weight": SAMPLE.edge_weight}, {"edge_attr": ATTR}
PLAIN = {**X, "adj": SAMPLE.edge_index, **BATCH}
FLAT = {**PLAIN, "s": SAMPLE.s, **WEIGHT}
UNWEIGHTED = {**PLAIN, "s": SAMPLE.s}
GIVEN = {**FLAT, "s": SAMPLE.s.argmax(-1)}
FULL = {**FLAT, **FEATURES, "num_clusters": BUDGET}
BLOCKS = {name: DENSE[name] for name in ("x", "adj", "mask")}
BLOCK_ATTR = {"edge_attr": DENSE["adj"].unsqueeze(-1) * torch.tensor([1.0, 2.0])}
BLOCK_ROWS = {"x": DENSE["x"]}
SHARES = {"assignment": SAMPLE.s.softmax(-1), **BATCH}
BLOCK_SHARES = {"assignment": DENSE["s"].softmax(-1)}
POOLED = {"x": torch.arange(36.0).sin().view(3, 4, 3).double()}


class TwoLevels(Module):
    """Two levels with budgets that are shares of the graphs."""

    def __init__(self, gnn, **options):
        super().__init__()
        torch.manual_seed(0)
        parts = [(3, 4), (8, 2)]
        self.pools = torch.nn.ModuleList(
            DiffPool(gnn(c, 8, 2, **options), gnn(c, 8, 2, k, **options), ratio=0.5)
            for c, k in parts
        )
        self.double()

    def forward(self, **given):
        first, second = self.pools
        below = first(**given)
        return below, second(below.x, below.adj, mask=below.mask)


def layer(gnn, **options):
    torch.manual_seed(0)
    return DiffPool(gnn(3, 8, 2, **options), gnn(3, 8, 2, 4, **options)).double()


def net(channels=3, **options):
    torch.manual_seed(0)
    return DiffPoolNet(channels, 8, 3, [4, 2], num_layers=2, **options).double()


def regularizers(**given: Any) -> tuple[Tensor, ...]:
    out = diff_pool(**given)
    return out.orthogonality_loss, out.collapse_loss, out.balance_loss


SPARSE, BY_PADDING = (partial(diff_pool, backend=b) for b in ("sparse", "padded"))
CASES: dict[str, tuple[Callable[..., Any], Arguments]] = {
    "diff_pool": (SPARSE, FULL),
    "diff_pool, auto": (diff_pool, FULL),
    "diff_pool, no weights": (partial(SPARSE, normalize=False), UNWEIGHTED),
    "diff_pool, mean": (partial(SPARSE, edge_reduce="mean"), FULL),
    "diff_pool, bce": (partial(SPARSE, link="bce"), FULL),
    "diff_pool, integer s": (partial(SPARSE, num_clusters=4), GIVEN),
    "diff_pool, one graph": (
        SPARSE,
        {k: v for k, v in UNWEIGHTED.items() if k != "batch"},
    ),
    "padding": (BY_PADDING, FULL),
    "padding, bce": (partial(BY_PADDING, link="bce"), FULL),
    "padding, integer s": (partial(BY_PADDING, num_clusters=4), GIVEN),
    "padded": (diff_pool, {**DENSE, **BLOCK_ATTR, "num_clusters": BUDGET}),
    "padded, mean": (partial(diff_pool, edge_reduce="mean"), {**DENSE, **BLOCK_ATTR}),
    "padded, bce": (partial(diff_pool, link="bce"), DENSE),
    "padded, integer s": (
        partial(diff_pool, num_clusters=4),
        {**BLOCKS, "s": DENSE["s"].argmax(-1)},
    ),
    "diff_pool, normalized": (partial(SPARSE, pooled_adj="normalized"), FULL),
    "regularisers": (regularizers, FULL),
    "regularisers, padded": (regularizers, {**DENSE, "num_clusters": BUDGET}),
    "dense_diff_pool": (dense_diff_pool, DENSE),
    "to_padded": (to_padded, {**X, "edge_index": SAMPLE.edge_index, **BATCH, **WEIGHT}),
    "to_flat": (to_flat, BLOCKS),
    "unpool": (unpool, {**POOLED, **SHARES}),
    "unpool, padded": (unpool, {**POOLED, **BLOCK_SHARES}),
    **{
        f"readout{name}, {reduce}": (partial(readout, reduce=reduce), given)
        for reduce in REDUCE
        for name, given in [
            ("", {**X, **BATCH}),
            (" of one graph", X),
            (" of blocks", BLOCK_ROWS),
            (" of masked blocks", {**BLOCK_ROWS, **MASK}),
        ]
    },
    "perplexity": (perplexity, SHARES),
    "perplexity, padded": (perplexity, {**BLOCK_SHARES, **MASK}),
    "DiffPool": (layer(GraphSAGE), {**PLAIN, **WEIGHT}),
    "DiffPool, given s": (DiffPool(), FLAT),
    "DiffPool, edge_attr": (
        # To add self-loops, PyG looks at the values of an edge list.
        layer(GAT, edge_dim=2, add_self_loops=False),
        {**PLAIN, **FEATURES},
    ),
    "DiffPool, padded": (layer(GraphSAGE), BLOCKS),
    "two levels, GraphSAGE": (TwoLevels(GraphSAGE), PLAIN),
    "two levels, GCN": (TwoLevels(GCN, add_self_loops=False), {**PLAIN, **WEIGHT}),
    "DiffPoolNet": (net(), {**PLAIN, **WEIGHT}),
    "DiffPoolNet, normalized": (net(pooled_adj="normalized"), {**PLAIN, **WEIGHT}),
    "DiffPoolNet, ratio": (net(ratio=0.5), PLAIN),
    "DiffPoolNet, edge_attr": (net(gnn=GAT, edge_dim=2), {**PLAIN, **FEATURES}),
    "DiffPoolNet, clusters": (
        net(learn_assignment=False),
        {**PLAIN, "clusters": CLUSTERS},
    ),
    "DiffPoolNet, integer x": (net([4, 2]), {**PLAIN, **WEIGHT, "x": CLUSTERS}),
}


def tensors(result):
    """All tensors of a result."""
    if isinstance(result, Tensor):
        yield result
    elif result is not None:
        parts = result if isinstance(result, tuple) else vars(result).values()
        for part in parts:
            yield from tensors(part)


def run(call, given):
    """All results, and the gradients of float arguments and of parameters."""
    torch.manual_seed(0)
    inputs = [t for t in given.values() if getattr(t, "requires_grad", False)]
    inputs += call.parameters() if isinstance(call, Module) else []
    found = list(tensors(call(**given)))
    total = sum(
        (t.flatten() * torch.arange(t.numel(), device=t.device).cos()).sum()
        for t in found
        if t.is_floating_point()
    )
    return [*found, *torch.autograd.grad(total, inputs, materialize_grads=True)]


def column(t):
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


def check(case, layout, arguments):
    """The case with these arguments laid out so, and with contiguous copies."""
    call, given = CASES[case]
    laid_out = {name: LAYOUTS[layout](given[name]) for name in arguments}
    if layout != "expanded":
        assert all(torch.equal(t, given[name]) for name, t in laid_out.items())
    copies = {n: t.clone(memory_format=CONTIGUOUS) for n, t in laid_out.items()}
    expected = run(call, leaves({**given, **copies}))
    for value in laid_out.values():
        value.requires_grad_(value.is_floating_point())
    rest = {name: t for name, t in leaves(given).items() if name not in laid_out}
    ours = {name: {**laid_out, **rest}[name] for name in given}
    torch.testing.assert_close(run(call, ours), expected)


def combinations():
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
def test_layout_changes_nothing(case, layout, arguments):
    check(case, layout, arguments)


def expanded_batches():
    """One entry that stands for all, in each case."""
    batch = torch.zeros(1, dtype=torch.long).expand(6)
    edge_index = torch.tensor([[0, 1], [1, 0]])
    out = diff_pool(torch.ones(6, 1), edge_index, torch.zeros(6, 1), batch=batch)
    assert out.x.flatten().tolist() == [6]
    for case, (_, given) in CASES.items():
        if "batch" in given:
            check(case, "expanded", ["batch"])


def test_batch_that_is_one_entry():
    """In a process of its own, which it once ended."""
    code = "import test_every_function as t; t.expanded_batches()"
    command = [sys.executable, "-X", "faulthandler", "-c", code]
    folder = Path(__file__).parent
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]


# These look at values: which rows are real, which graph is the largest, which clusters
# are used, which edges are loops.
NOT_ON_META = ["to_flat", "padding", "padding, bce", "padding, integer s"]
NOT_ON_META += ["DiffPoolNet, clusters", "DiffPoolNet, edge_attr"]


@pytest.mark.parametrize("case", [name for name in CASES if name not in NOT_ON_META])
def test_shapes_and_dtypes_on_meta_are_those_of_the_cpu(case):
    call, given = CASES[case]
    sizes = {"batch_size": 3} if "batch" in given and "unpool" not in case else {}
    sizes |= {"max_num_nodes": 4} if case == "to_padded" else {}
    shapes = []
    for device in ("meta", "cpu"):
        moved = leaves({name: t.to(device) for name, t in given.items()})
        module = copy.deepcopy(call).to(device) if isinstance(call, Module) else call
        found = run(module, {**moved, **sizes})
        assert {t.device.type for t in found} == {device}
        shapes.append([(t.shape, t.dtype) for t in found])
    assert shapes[0] == shapes[1]


def test_what_needs_values_says_so_on_meta():
    blocks = {name: t.to("meta") for name, t in BLOCKS.items()}
    with pytest.raises(ValueError, match="with values"):
        to_flat(**blocks)


def test_checks_asked_for_by_the_environment_do_not_look_at_meta(monkeypatch):
    monkeypatch.setenv("PYG_DIFFPOOL_CHECK", "1")
    x, s = torch.ones(4, 3, device="meta"), torch.ones(4, 2, device="meta")
    edges = torch.zeros(2, 5, dtype=torch.long, device="meta")
    assert diff_pool(x, edges, s, check=True).x.shape == (1, 2, 3)
