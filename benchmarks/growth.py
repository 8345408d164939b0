"""How time and memory grow: one graph of more edges, mini-batches of more graphs."""

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.batches import (
    BatchSpec,
    PoolingBatch,
    draw_batch,
    load_dataset,
    with_noise,
)
from benchmarks.isolated import Limits, Outcome, run_isolated
from benchmarks.methods import METHODS, floor, training_pass, warm_up
from benchmarks.settings import Settings
from benchmarks.timing import Budget, Call, Sample

NAMES = ("auto", "PyG dense_diff_pool", "tgp diff_u")
FLOOR = "floor"
DEGREE = 10
EDGES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
GRAPHS = tuple(2**i for i in range(3, 13))
DENSE_LIMIT = 4e9


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    """Measure both curves and fit them."""
    edges: Sequence[int] = EDGES[:3] if settings.quick else EDGES
    graphs: Sequence[int] = GRAPHS[:5:2] if settings.quick else GRAPHS
    yield {
        "threads": settings.threads,
        "one_graph": _curve(_one_graph(edges), settings),
        "batches": _curve(_batches(graphs, settings), settings),
    }


@dataclass(frozen=True)
class _Case:
    method: str
    prepare: Callable[..., Call]
    argument: int | str
    sizes: dict[str, int]
    dense_bytes: int  # of the adjacencies as dense blocks


def _one_graph(edges: Sequence[int]) -> Iterator[_Case]:
    for count in edges:
        n = count // DEGREE
        sizes = {"edges": count, "nodes": n, "graphs": 1}
        for name in (*NAMES, FLOOR):
            yield _Case(name, prepare_graph, count, sizes, 4 * n * n)


def _batches(graphs: Sequence[int], settings: Settings) -> Iterator[_Case]:
    dataset = load_dataset("PythonFunctions", settings.root)
    assert dataset is not None
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "batch.pt")
        for count in graphs:
            batch = draw_batch(BatchSpec("PythonFunctions", count, 16), dataset)
            torch.save(asdict(batch), path)
            found = batch.describe()
            sizes = {key: found[key] for key in ("edges", "nodes", "graphs")}
            dense = 4 * count * found["max_nodes"] ** 2
            for name in (*NAMES, FLOOR):
                yield _Case(name, prepare_batch, path, sizes, dense)


def _curve(cases: Iterable[_Case], settings: Settings) -> dict[str, Any]:
    """Run all cases; a method that has failed is not tried on larger ones."""
    points: list[dict[str, Any]] = []
    given_up: set[str] = set()
    for case in cases:
        outcome = Outcome("not tried, since a smaller one failed")
        if case.method not in given_up:
            outcome = _run(case, settings)
        if not outcome.ok:
            given_up.add(case.method)
        time = Sample.of(list(outcome.times[1:])).as_dict() if outcome.ok else None
        figures = {"status": outcome.status, "time": time, "peak_bytes": outcome.peak}
        points.append({"method": case.method, **case.sizes, **figures})
        print(points[-1])
    return {"points": points, "exponents": exponents(points)}


def _run(case: _Case, settings: Settings) -> Outcome:
    # At the peak about five blocks of the size of the adjacency are alive.
    if case.method.startswith("PyG") and 5 * case.dense_bytes > DENSE_LIMIT:
        return Outcome("too large")
    budget = Budget(0.1) if settings.quick else Budget(2.0)
    limits = Limits(seconds=10.0 if settings.quick else 90.0)
    arguments = (case.method, case.argument)
    return run_isolated(case.prepare, arguments, budget, settings.threads, limits)


def prepare_graph(name: str, num_edges: int) -> Call:
    """A pass over one graph in which every node has `DEGREE` neighbours."""
    return _prepare(name, with_noise(*shuffled_ring(num_edges), clusters=64))


def prepare_batch(name: str, path: str) -> Call:
    """A pass over the saved mini-batch."""
    return _prepare(name, PoolingBatch(**torch.load(path)))


def _prepare(name: str, batch: PoolingBatch) -> Call:
    if name == FLOOR:
        return floor(batch)
    warm_up(name)
    return training_pass(METHODS[name], batch)


def shuffled_ring(num_edges: int) -> tuple[Tensor, Tensor]:
    """A ring linked to the nearest `DEGREE` nodes, nodes numbered at random."""
    n = num_edges // DEGREE
    random = torch.Generator().manual_seed(0)
    number = torch.randperm(n, generator=random)
    place = number.argsort()
    near = torch.arange(1, DEGREE // 2 + 1)
    around = (place.unsqueeze(1) + torch.cat([-near, near])) % n
    col = number[around].sort(1).values
    row = torch.arange(n).unsqueeze(1).expand_as(col)
    return torch.stack([row.flatten(), col.flatten()]), torch.zeros(n, dtype=torch.long)


def exponents(points: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Slopes of log time and log memory over log(E + N), by least squares."""
    slopes = {}
    for name in dict.fromkeys(point["method"] for point in points):
        measured = [p for p in points if p["method"] == name and p["time"]]
        if len(measured) < 3:
            continue
        size = [math.log(p["edges"] + p["nodes"]) for p in measured]
        time = [math.log(p["time"]["median"]) for p in measured]
        memory = [math.log(max(p["peak_bytes"], 1 << 20)) for p in measured]
        slopes[name] = {
            "time": float(np.polyfit(size, time, 1)[0]),
            "memory": float(np.polyfit(size, memory, 1)[0]),
        }
    return slopes
