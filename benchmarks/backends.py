"""The two backends on even random graphs: the figures behind `backend="auto"`.

Forward and backward of `diff_pool` with losses; "auto" is in the same turns, so that
its loss against the better of the two can be read off.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmarks.settings import Settings
from benchmarks.timing import Budget, Call, interleave
from pyg_diffpool import diff_pool

BATCH_SIZES, SIZES, DENSITIES = (16, 128, 1024), (8, 16, 32, 64, 128), (0.1, 0.5, 1.0)
CLUSTERS, CHANNELS = (8, 32), 64
BACKENDS = ("sparse", "padded", "auto")
MOST_EDGES = 1_000_000


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    """Measure the grid, or every second size of it."""
    step = 2 if settings.quick else 1
    budget = Budget(0.02, at_most=5) if settings.quick else Budget(0.2, at_most=30)
    grid = itertools.product(
        BATCH_SIZES[::step], SIZES[::step], DENSITIES[::step], CLUSTERS[::step]
    )
    points = [measure(*p, budget) for p in grid if p[0] * p[1] ** 2 * p[2] < MOST_EDGES]
    loss = [p["times"]["auto"]["median"] / p["better"] for p in points]
    summary = {"points": len(points), "auto_over_better": sorted(loss)}
    print(f"auto over the better backend: at most {max(loss):.2f}")
    yield {"threads": settings.threads, "points": points, "summary": summary}


def measure(b: int, n: int, density: float, k: int, budget: Budget) -> dict[str, Any]:
    """Time of the backends on b graphs of n nodes."""
    torch.manual_seed(0)
    linked = torch.rand(b, n, n) < density
    graph, i, j = (linked | linked.transpose(1, 2)).nonzero(as_tuple=True)
    edge_index = torch.stack([graph * n + i, graph * n + j])
    batch = torch.arange(b).repeat_interleave(n)
    x = torch.randn(b * n, CHANNELS, requires_grad=True)
    s = torch.randn(b * n, k, requires_grad=True)
    grads = [torch.randn(b, k, CHANNELS), torch.randn(b, k, k)]
    grads += [torch.ones(()), torch.ones(())]

    def forward(backend: Any) -> list[Tensor]:
        out = diff_pool(x, edge_index, s, batch=batch, batch_size=b, backend=backend)
        return [out.x, out.adj, out.link_loss, out.entropy_loss]

    def training_pass(backend: str) -> Call:
        def call() -> None:
            x.grad = s.grad = None
            torch.autograd.backward(forward(backend), grads)

        return call

    torch.testing.assert_close(
        forward("sparse"), forward("padded"), rtol=1e-3, atol=1e-3
    )
    samples = interleave({name: training_pass(name) for name in BACKENDS}, budget)
    times = {name: sample.as_dict() for name, sample in samples.items()}
    better = min(samples["sparse"].median, samples["padded"].median)
    shape = {"b": b, "n": n, "density": density, "k": k, "edges": int(graph.numel())}
    return {**shape, "times": times, "better": better}
