"""The two backends on even random graphs: the figures behind `backend="auto"`.

Forward and backward of `diff_pool` with losses; "auto" is in the same turns, so that
its loss against the better of the two can be read off.
"""

from itertools import product

import torch

from benchmarks.batches import random_batch
from benchmarks.methods import METHODS, assert_same, training_pass
from benchmarks.operators import BACKENDS
from benchmarks.results import Result, Results
from benchmarks.sets import Settings
from benchmarks.timing import Budget, interleave

GRID: tuple[tuple[float, ...], ...] = (
    (16, 128, 1024),
    (8, 16, 32, 64, 128),
    (0.1, 0.5, 1.0),
    (8, 32),
)
MOST_EDGES = 1_000_000


def run(settings: Settings) -> Results:
    """Measure the grid, or every second size of it."""
    grid = product(*(sizes[:: 2 if settings.quick else 1] for sizes in GRID))
    budget = Budget(0.02, at_most=5) if settings.quick else Budget(0.2, at_most=30)
    points: list[Result] = []
    for b, n, density, k in grid:
        if b * n**2 * density < MOST_EDGES:
            points.append(measure(int(b), int(n), density, int(k), budget))
    yield {"points": points}


def measure(b: int, n: int, density: float, k: int, budget: Budget) -> Result:
    batch = random_batch(torch.full((b,), n), density, k)
    calls = {name: training_pass(METHODS[name].make, batch) for name in BACKENDS}
    sparse, padded = calls["sparse"].results(), calls["padded"].results()
    assert_same(sparse, padded, "sparse and padded")
    row = {"b": b, "n": n, "density": density, "k": k}
    return {
        **row,
        "edges": batch.edge_index.size(1),
        "times": interleave(calls, budget),
    }
