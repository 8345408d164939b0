"""The operator in one compiled graph, with dynamic shapes."""

from typing import Any

import pytest
import torch
from torch import Tensor

from graphs import ZOO, Sample, sample
from pyg_diffpool import dense_diff_pool, diff_pool, to_padded

pytestmark = pytest.mark.skipif(
    torch.__version__ < (2, 6), reason="torch.compile needs torch >= 2.6 here"
)
BATCHES = [ZOO["ordinary"], ZOO["undirected"], sample([40, 3, 9], k=5, channels=6)]


def pool(
    x: Tensor,
    edge_index: Tensor,
    s: Tensor,
    batch: Tensor,
    weight: Tensor | None,
    batch_size: int,
    backend: Any,
) -> tuple[Tensor, ...]:
    out = diff_pool(
        x,
        edge_index,
        s,
        batch=batch,
        edge_weight=weight,
        batch_size=batch_size,
        backend=backend,
    )
    return out.x, out.adj, out.assignment, out.link_loss, out.entropy_loss


def call(function: Any, given: Sample, backend: str) -> list[Tensor]:
    """The results and the gradients."""
    given = given.to(torch.float32)
    weight = given.edge_weight
    leaves = [t.requires_grad_() for t in (given.x, given.s, weight) if t is not None]
    out = function(
        given.x,
        given.edge_index,
        given.s,
        given.batch,
        weight,
        given.batch_size,
        backend,
    )
    total = sum((t * (1 + torch.arange(t.numel()).view_as(t))).sum() for t in out)
    return [*out, *torch.autograd.grad(total, leaves)]


def pool_edge_attr(
    given: Sample, edge_attr: Tensor, s: Tensor, reduce: Any
) -> tuple[Tensor, Tensor]:
    out = diff_pool(
        given.x,
        given.edge_index,
        s,
        batch=given.batch,
        edge_attr=edge_attr,
        batch_size=given.batch_size,
        edge_reduce=reduce,
    )
    return out.edge_attr, out.x


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_edge_features_compiled_equal_eager(reduce: str) -> None:
    torch.compiler.reset()
    options = {"dynamic": True, "fullgraph": True, "backend": "aot_eager"}
    compiled = torch.compile(pool_edge_attr, **options)
    for given in [*BATCHES, ZOO["unsorted edges"]]:
        edge_attr = torch.randn(given.edge_index.size(1), 3, dtype=torch.double)
        results = []
        for function in (compiled, pool_edge_attr):
            leaves = [edge_attr.clone(), given.s.clone()]
            leaves = [t.requires_grad_() for t in leaves]
            out = function(given, *leaves, reduce)
            grads = torch.autograd.grad(out[0].square().sum(), leaves)
            results.append([*out, *grads])
        torch.testing.assert_close(*results)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("backend", ["sparse", "auto"])
def test_compiled_equals_eager(backend: str, weighted: bool) -> None:
    torch.compiler.reset()
    compiled = torch.compile(pool, dynamic=True, fullgraph=True, backend="aot_eager")
    batches = [ZOO["weighted"], ZOO["repeated, weighted"]] if weighted else BATCHES
    for given in batches:
        torch.testing.assert_close(
            call(compiled, given, backend),
            call(pool, given, "sparse"),
            rtol=1e-4,
            atol=1e-4,
        )


def test_the_environment_asks_no_compiled_graph_to_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYG_DIFFPOOL_CHECK", "1")
    torch.compiler.reset()
    compiled = torch.compile(pool, dynamic=True, fullgraph=True, backend="aot_eager")
    given = BATCHES[0]
    torch.testing.assert_close(
        call(compiled, given, "auto"), call(pool, given, "auto"), rtol=1e-4, atol=1e-4
    )


def test_dense_diff_pool_compiled_equals_eager() -> None:
    torch.compiler.reset()
    compiled = torch.compile(
        dense_diff_pool, dynamic=True, fullgraph=True, backend="aot_eager"
    )
    for given in BATCHES:
        x, adj, mask = to_padded(given.x, given.edge_index, given.batch)
        s = to_padded(given.s, given.edge_index, given.batch).x
        torch.testing.assert_close(
            compiled(x, adj, s, mask), dense_diff_pool(x, adj, s, mask)
        )


def test_the_operators_keep_the_rules_of_torch() -> None:
    given = ZOO["weighted"].to(torch.float32)
    row, col = given.edge_index
    ptr = torch.tensor([0, 5, 8, 15])
    inputs = (given.x.requires_grad_(), row, col, None, ptr, given.s.requires_grad_())
    torch.library.opcheck(torch.ops.pyg_diffpool.sparse_pool.default, inputs)
    inputs = (row, col, None, ptr, given.s.detach())
    torch.library.opcheck(torch.ops.pyg_diffpool.sparse_square.default, inputs)
    edge_attr = torch.randn(row.numel(), 3).requires_grad_()
    inputs = (edge_attr, row, col, ptr, given.s)
    torch.library.opcheck(torch.ops.pyg_diffpool.pool_edges.default, inputs)
