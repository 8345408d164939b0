"""Every pooling method on one mini-batch of each data set, forward and backward."""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch_geometric.data import InMemoryDataset

from benchmarks.batches import PoolingBatch, draw_batch
from benchmarks.isolated import ONCE, run_isolated
from benchmarks.methods import (
    METHODS,
    Method,
    assert_same,
    floor,
    ours,
    prepare_pass,
    training_pass,
)
from benchmarks.results import Result
from benchmarks.sets import SetSpec, Settings
from benchmarks.timing import Budget, Call, interleave

BACKENDS = ("sparse", "padded", "auto")


def measure_set(settings: Settings, spec: SetSpec, dataset: InMemoryDataset) -> Result:
    """All methods on the mini-batch of a set."""
    graphs = spec.graphs // 4 if settings.quick else spec.graphs
    batch = draw_batch(dataset, graphs, spec.clusters, spec.seed)
    return {"seed": spec.seed, **measure(batch, settings)}


def measure(
    batch: PoolingBatch,
    settings: Settings,
    methods: Sequence[Method] = tuple(METHODS.values()),
) -> Result:
    """Peak memory, equality of results and time of `methods` on `batch`.

    The run for the memory comes first: what it finds missing, too slow or too large is
    left out of the timing and recorded as such.
    """
    names = [method.name for method in methods]
    outcomes = run_each(names, batch, ONCE, 5.0 if settings.quick else 40.0)
    able = [m for m in methods if outcomes[m.name]["status"] == "ok"]
    check_equality(batch, able)
    calls: dict[str, Call] = {"floor": floor(batch)}
    calls |= {m.name: training_pass(m.make, batch) for m in able}
    budget = Budget(0.15, at_most=20) if settings.quick else Budget(2.0, at_most=200)
    times, rows = interleave(calls, budget), []
    for m in methods:
        about: Result = {"name": m.name, "computes": m.computes}
        about |= {"with_layer": m.with_layer, "ours": m.ours}
        rows.append({**about, **outcomes[m.name], "time": times.get(m.name)})
    return {"batch": batch.describe(), "floor": times["floor"], "methods": rows}


def run_each(
    names: Iterable[str], batch: PoolingBatch, budget: Budget, seconds: float
) -> dict[str, Result]:
    """Passes of each method, or of the floor, in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "batch.pt")
        torch.save(asdict(batch), path)
        limits = budget, seconds
        return {
            name: run_isolated(prepare_pass, (name, path), *limits) for name in names
        }


def check_equality(batch: PoolingBatch, methods: Sequence[Method]) -> None:
    """Raise an `AssertionError` unless all DiffPool implementations agree.

    In results and gradients, under the same normalisation of the losses.
    """
    num_entries = batch.sizes.numel() * int(batch.sizes.max()) ** 2
    for peer in methods:
        if peer.equals is None:
            continue
        theirs = training_pass(peer.make, batch).results()
        for backend in BACKENDS:
            make = partial(ours, backend=backend, **peer.equals)
            mine = training_pass(make, batch).results()
            assert_same(mine, theirs, f"{backend} and {peer.name}", num_entries)
