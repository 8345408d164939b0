"""The operator in one compiled graph, with dynamic shapes."""

from typing import Any

import pytest
import torch
from torch import Tensor

from graphs import ZOO, Sample, sample
from pyg_diffpool import dense_diff_pool, diff_pool, to_padded
from pyg_diffpool._graph import make_graph

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


def test_the_operations_keep_the_rules_of_torch() -> None:
    given, ops = ZOO["weighted"].to(torch.float32), torch.ops.pyg_diffpool
    ptr, n = torch.tensor([0, 5, 8, 15]), given.x.size(0)
    graph = make_graph(given.edge_index, given.edge_weight, ptr, n, torch.float32)
    x, s = given.x.requires_grad_(), given.s.requires_grad_()
    value = graph.values(torch.float32).clone().requires_grad_()
    pattern, (crow, col) = graph.pattern(), graph.pattern()[:2]
    rest = graph.square_sum(), ptr, crow, col, graph.is_symmetric(), *pattern[2:]
    divisors = torch.tensor([2.0, 3.0], dtype=torch.double)
    attr = torch.randn(col.numel(), 3).requires_grad_()
    check = torch.library.opcheck
    check(ops.sparse_level.default, (x, value, s, divisors, torch.float32, *rest))
    check(ops.spmm.default, (value, x, True, *pattern))
    check(ops.edge_products.default, (x, x.detach(), *pattern))
    check(ops.pool_edges.default, (attr, s.detach().softmax(-1), ptr, *pattern))
    check(ops.sort_edges.default, (given.edge_index.flip(1), n))
    check(ops.transpose.default, (graph.row, col, crow, None))
