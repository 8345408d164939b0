"""The two backends on even random graphs: the figures behind `backend="auto"`.

Forward and backward of `diff_pool` with losses; "auto" is in the same turns, so that
its loss against the better of the two can be read off.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.batches import random_batch
from benchmarks.methods import METHODS, assert_same, training_pass
from benchmarks.operators import BACKENDS
from benchmarks.sets import Settings
from benchmarks.timing import Budget, interleave

BATCH_SIZES, SIZES, DENSITIES = (16, 128, 1024), (8, 16, 32, 64, 128), (0.1, 0.5, 1.0)
CLUSTERS = (8, 32)
MOST_EDGES = 1_000_000


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    """Measure the grid, or every second size of it."""
    step = 2 if settings.quick else 1
    budget = Budget(0.02, at_most=5) if settings.quick else Budget(0.2, at_most=30)
    grid = itertools.product(
        BATCH_SIZES[::step], SIZES[::step], DENSITIES[::step], CLUSTERS[::step]
    )
    points = [measure(*p, budget) for p in grid if p[0] * p[1] ** 2 * p[2] < MOST_EDGES]
    yield {"points": points}


def measure(b: int, n: int, density: float, k: int, budget: Budget) -> dict[str, Any]:
    """Time of the backends on b graphs of n nodes."""
    batch = random_batch(torch.full((b,), n), density, k)
    calls = {name: training_pass(METHODS[name].make, batch) for name in BACKENDS}
    sparse, padded = calls["sparse"].results(), calls["padded"].results()
    assert_same(sparse, padded, "sparse and padded")
    samples = interleave(calls, budget)
    times = {name: sample.as_dict() for name, sample in samples.items()}
    shape = {"b": b, "n": n, "density": density, "k": k}
    edges = batch.edge_index.size(1)
    return {**shape, "edges": edges, "times": times}
