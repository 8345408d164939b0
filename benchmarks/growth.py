"""How time and memory grow: one graph of more edges, mini-batches of more graphs."""

from collections.abc import Iterable

import numpy as np

from benchmarks.batches import PoolingBatch, draw_batch, sparse_batch
from benchmarks.operators import run_each
from benchmarks.results import Result, Results
from benchmarks.sets import SPECS, Settings, load_dataset
from benchmarks.timing import Budget

NAMES = ("auto", "PyG dense_diff_pool", "tgp diff_u", "floor")
DEGREE = 10
EDGES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
GRAPHS = tuple(2**i for i in range(3, 13))


def run(settings: Settings) -> Results:
    edges = EDGES[:3] if settings.quick else EDGES
    graphs = GRAPHS[:5:2] if settings.quick else GRAPHS
    dataset = load_dataset("PythonFunctions", settings.root)
    k = SPECS["PythonFunctions"].clusters
    yield {
        "one_graph": curve(map(one_graph, edges), settings),
        "batches": curve((draw_batch(dataset, n, k) for n in graphs), settings),
    }


def curve(batches: Iterable[PoolingBatch], settings: Settings) -> Result:
    """Run all methods; one that has failed is not tried on larger mini-batches."""
    points: list[Result] = []
    able = list(NAMES)
    budget, seconds = (Budget(0.1), 10.0) if settings.quick else (Budget(2.0), 90.0)
    for batch in batches:
        sizes = {key: batch.describe()[key] for key in ("edges", "nodes", "graphs")}
        outcomes = run_each(able, batch, budget, seconds)
        able = [name for name in able if outcomes[name]["status"] == "ok"]
        for name, outcome in outcomes.items():
            points.append({"method": name, **sizes, **outcome})
            print(points[-1])
    return {"points": points, "exponents": exponents(points)}


def one_graph(num_edges: int) -> PoolingBatch:
    """A graph of mean degree `DEGREE`, of nearly so many edges."""
    return sparse_batch(1, num_edges // DEGREE, DEGREE, clusters=64)


def exponents(points: list[Result]) -> dict[str, dict[str, float]]:
    """Slopes of log time and log memory over log(E + N), by least squares."""
    slopes = {}
    for name in dict.fromkeys(point["method"] for point in points):
        measured = [p for p in points if p["method"] == name and p["time"]]
        if len(measured) < 3:
            continue
        size = np.log([p["edges"] + p["nodes"] for p in measured])
        time = np.log([p["time"]["median"] for p in measured])
        memory = np.log([max(p["peak_bytes"], 1 << 20) for p in measured])
        fits = np.polyfit(size, np.stack([time, memory], 1), 1)[0]
        slopes[name] = {"time": float(fits[0]), "memory": float(fits[1])}
    return slopes
