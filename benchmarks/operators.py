"""Every pooling method on one mini-batch of each data set, forward and backward."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.batches import (
    SPECS,
    PoolingBatch,
    draw_batch,
    load_dataset,
)
from benchmarks.isolated import Limits, Outcome, run_isolated
from benchmarks.methods import METHODS, floor, training_pass, warm_up
from benchmarks.methods.diffpool import compare, equal_work
from benchmarks.methods.method import Method
from benchmarks.settings import Settings
from benchmarks.timing import Budget, Call, Sample, interleave
from pyg_diffpool.operator import Backend, Normalize

BACKENDS: tuple[Backend, ...] = ("sparse", "padded", "auto")
QUICK = ("ENZYMES", "PROTEINS", "PythonFunctions")


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    """Measure all methods on all data sets that are there; once more after each set."""
    measured: list[dict[str, Any]] = []
    absent: list[str] = []
    content = {"threads": settings.threads, "datasets": measured, "absent": absent}
    for spec in SPECS:
        if not settings.wants(spec.dataset, QUICK):
            continue
        dataset = load_dataset(spec.dataset, settings.root)
        if dataset is None:
            absent.append(spec.dataset)
            print(f"{spec.dataset}: absent from {settings.root}")
            continue
        if settings.quick:
            spec = replace(spec, graphs=spec.graphs // 4)
        batch = draw_batch(spec, dataset)
        del dataset
        print(f"{spec.dataset}: {batch.describe()}")
        result = measure(batch, settings)
        measured.append({"dataset": spec.dataset, "seed": spec.seed, **result})
        yield content
    yield content


def measure(
    batch: PoolingBatch,
    settings: Settings,
    methods: Sequence[Method] = tuple(METHODS.values()),
) -> dict[str, Any]:
    """Peak memory, equality of results and time of `methods` on `batch`.

    The run for the memory comes first: what it finds missing, too slow or too large is
    left out of the timing and recorded as such.
    """
    outcomes = peak_memory(batch, methods, settings)
    able = [m for m in methods if outcomes[m.name].ok]
    check_equality(batch, able)
    calls: dict[str, Call] = {"floor": floor(batch)}
    budget = Budget(0.15, at_most=20) if settings.quick else Budget(2.0, at_most=200)
    calls |= {m.name: training_pass(m, batch) for m in able}
    samples = interleave(calls, budget)
    rows = [_row(m, outcomes[m.name], samples) for m in methods]
    return {
        "batch": batch.describe(),
        "floor": samples["floor"].as_dict(),
        "methods": rows,
    }


def peak_memory(
    batch: PoolingBatch, methods: Sequence[Method], settings: Settings
) -> dict[str, Outcome]:
    """One pass of each method in its own process."""
    limits = Limits(seconds=5.0 if settings.quick else 40.0)
    outcomes = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "batch.pt")
        torch.save(asdict(batch), path)
        for method in methods:
            outcomes[method.name] = run_isolated(
                prepare_pass,
                (method.name, path),
                threads=settings.threads,
                limits=limits,
            )
    return outcomes


def prepare_pass(name: str, path: str) -> Call:
    """A pass of the method on the saved mini-batch, after one on a small one."""
    warm_up(name)
    return training_pass(METHODS[name], PoolingBatch(**torch.load(path)))


def check_equality(batch: PoolingBatch, methods: Sequence[Method]) -> None:
    """Raise an `AssertionError` unless all DiffPool implementations agree.

    In results and gradients, under the same normalisation of the losses.
    """
    num_entries = batch.sizes.numel() * int(batch.sizes.max()) ** 2
    names = {m.name for m in methods}
    pairs: list[tuple[Method, Normalize, bool]] = [
        (METHODS["PyG dense_diff_pool"], "padded", False),
        (METHODS["tgp diff"], False, True),
        (METHODS["tgp diff_u"], False, True),
    ]
    for peer, normalize, with_layer in pairs:
        if peer.name not in names:
            continue
        theirs = _results(peer, batch)
        for backend in BACKENDS:
            make = equal_work(normalize, with_layer, backend)
            mine = _results(Method(backend, "", make), batch)
            compare(mine, theirs, f"{backend} and {peer.name}", num_entries)


def _results(method: Method, batch: PoolingBatch) -> list[torch.Tensor | None]:
    run = training_pass(method, batch)
    outputs = run()
    return [*(out.detach() for out in outputs), run.leaves.x.grad, run.leaves.s.grad]


def _row(
    method: Method, outcome: Outcome, samples: dict[str, Sample]
) -> dict[str, Any]:
    sample = samples.get(method.name)
    return {
        "name": method.name,
        "computes": method.computes,
        "with_layer": method.with_layer,
        "ours": method.ours,
        "status": outcome.status,
        "time": sample and sample.as_dict(),
        "peak_bytes": outcome.peak,
    }
