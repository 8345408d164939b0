"""PyG's own micro-benchmark grid for `dense_diff_pool`, forward and backward.

The sizes are those at the foot of PyG's `test/nn/dense/test_diff_pool.py`: dense input
without a mask.
"""

import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch_geometric.nn
from torch import Tensor

import pyg_diffpool
from benchmarks.settings import Settings
from benchmarks.timing import Budget, Call, interleave

SIZES = (16, 32, 64, 128)  # B and M
WIDTHS = (32, 64, 128, 256)  # C and K
OURS, PYG = "pyg-diffpool", "PyG"
FUNCTIONS: dict[str, Callable[..., Sequence[Tensor]]] = {
    OURS: pyg_diffpool.dense_diff_pool,
    PYG: torch_geometric.nn.dense_diff_pool,
}


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    """Measure the whole grid, or every second size."""
    step = 2 if settings.quick else 1
    sizes, widths = SIZES[::step], WIDTHS[::step]
    budget = Budget(0.02, at_most=10) if settings.quick else Budget(0.15, at_most=50)
    points = [
        measure(*shape, budget)
        for shape in itertools.product(sizes, sizes, widths, widths)
    ]
    summary = summarise(points)
    print(summary)
    yield {"threads": settings.threads, "points": points, "summary": summary}


def measure(b: int, m: int, c: int, k: int, budget: Budget) -> dict[str, Any]:
    """Time of both sides at one point, after a look that results agree."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(b, m, c, generator=random, requires_grad=True)
    s = torch.randn(b, m, k, generator=random, requires_grad=True)
    adj = torch.randint(0, 2, (b, m, m), generator=random).float()
    with torch.no_grad():
        mine, theirs = (f(x, adj, s) for f in FUNCTIONS.values())
    torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)
    gradients = [torch.randn(out.shape, generator=random) for out in mine]

    def training_pass(function: Callable[..., Sequence[Tensor]]) -> Call:
        def call() -> None:
            x.grad = s.grad = None
            torch.autograd.backward(function(x, adj, s), gradients)

        return call

    samples = interleave({n: training_pass(f) for n, f in FUNCTIONS.items()}, budget)
    times = {name: sample.as_dict() for name, sample in samples.items()}
    ratio = samples[PYG].median / samples[OURS].median
    return {"b": b, "m": m, "c": c, "k": k, "times": times, "ratio": ratio}


def summarise(points: list[dict[str, Any]]) -> dict[str, Any]:
    """How many times faster than PyG: the geometric mean, the worst and the best."""
    worst = min(points, key=lambda point: float(point["ratio"]))
    best = max(points, key=lambda point: float(point["ratio"]))
    mean = statistics.fmean(math.log(point["ratio"]) for point in points)
    shape = ("b", "m", "c", "k", "ratio")
    return {
        "mean_ratio": math.exp(mean),
        "faster_at": sum(point["ratio"] > 1 for point in points),
        "of": len(points),
        "worst": {key: worst[key] for key in shape},
        "best": {key: best[key] for key in shape},
    }
