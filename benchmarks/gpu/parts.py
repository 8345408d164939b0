"""The parts: each yields its cases, a name and a function that measures."""

import copy
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.profiler import ProfilerActivity, profile
from torch_geometric.data import Data

from benchmarks.batches import PoolingBatch, with_noise
from benchmarks.gpu.device import (
    AUTO,
    PYG,
    SWITCH,
    TORCH,
    WAYS,
    Job,
    Row,
    attempt,
    even_batch,
    executor,
    kernel_bytes,
    least_bytes,
    least_flops,
    operator_pass,
    speeds,
)
from benchmarks.sets import BATCH_SIZE, SPECS
from benchmarks.timing import Call
from benchmarks.training_step import (
    DenseNet,
    Inputs,
    SparseNet,
    epoch,
    flat_inputs,
    padded_inputs,
)

Cases = Iterator[tuple[str, Callable[[], Row]]]
ROOT = Path(__file__).parents[2]
GRID = ((1, 16, 64, 256), (10, 30, 100, 300, 1000, 2000), (4, 16, 64))
QUICK_GRID = ((1, 4), (10, 30), (4,))
LONGEST = 15


def card(job: Job) -> Cases:
    """What the device is, and how fast at its best."""

    def describe() -> Row:
        row: Row = {"name": "cpu", "executor": executor(), **speeds(job)}
        if job.device != "cpu":
            found = torch.cuda.get_device_properties(0)
            row |= {"name": found.name, "memory_gib": found.total_memory / 2**30}
            row |= {"capability": f"{found.major}.{found.minor}"}
            row |= {"cuda": torch.version.cuda}
        return row

    yield "card", describe


def operator(job: Job) -> Cases:
    """Forward and backward, its memory and its errors, on a mini-batch of each set."""
    for dtype, name in product(("float32", "bfloat16"), job.sets):
        yield f"{name}, {dtype}", partial(_operator, job, name, dtype)


def _operator(job: Job, name: str, dtype: str) -> Row:
    data, is_made_up = job.mini_batch(name)
    batch = with_noise(data.edge_index, data.batch, SPECS[name].clusters)
    batch = batch.to(job.device, getattr(torch, dtype))
    calls: dict[str, Call] = {way: operator_pass(way, batch) for way in WAYS}
    methods = job.outcomes(calls, 0.3)
    exact = operator_pass(TORCH, batch.to(job.device, torch.double), normalize="padded")
    for row in methods:
        if row["status"] == "ok":
            row |= attempt(partial(_error, row["name"], batch, exact))
    return {
        "dataset": name,
        "dtype": dtype,
        "made_up": is_made_up,
        "batch": batch.describe(),
        "least_bytes": least_bytes(batch),
        "kernel_bytes": kernel_bytes(batch),
        "least_flops": least_flops(batch),
        "methods": methods,
    }


def _error(way: str, batch: PoolingBatch, exact: Any) -> Row:
    """The largest relative error of an output or gradient, against float64."""
    options = {} if way == PYG else {"normalize": "padded"}
    run = operator_pass(way, batch, **options)
    found: list[Any] = run.results()
    exact.gradients = [gradient.double() for gradient in run.gradients]
    errors = []
    for value, right in zip(found, exact.results(), strict=True):
        apart = torch.linalg.vector_norm(value.double() - right)
        errors.append(float(apart / torch.linalg.vector_norm(right)))
    is_finite = all(map(math.isfinite, errors))
    return {"error": max(errors)} if is_finite else {"status": "not finite"}


def grid(job: Job) -> Cases:
    """Forward and backward on even graphs, from few and tiny to many and large."""
    for b, n, k in product(*(QUICK_GRID if job.quick else GRID)):
        yield f"{b} graphs of {n} nodes, K = {k}", partial(_grid, job, b, n, k)


def _grid(job: Job, b: int, n: int, k: int) -> Row:
    batch = even_batch(b, n, k).to(job.device, torch.float)
    calls: dict[str, Call] = {way: operator_pass(way, batch) for way in (AUTO, PYG)}
    return {"b": b, "n": n, "k": k, "methods": job.outcomes(calls, 0.1)}


def steps(job: Job) -> Cases:
    """Training steps of PyG's example model and of ours on 20 graphs of each set."""
    for name in job.sets:
        yield name, partial(_steps, job, name)


def _steps(job: Job, name: str) -> Row:
    data, is_made_up = job.mini_batch(name, BATCH_SIZE)
    calls = {way: _step(way, *_model(way, data, job), data) for way in WAYS}
    rows = job.outcomes(calls, 0.4)
    return {"dataset": name, "made_up": is_made_up, "methods": rows}


def _model(way: str, data: Data, job: Job) -> tuple[Module, Callable[[Data], Inputs]]:
    """A net on the device, where `data` goes too, and what of it the net takes."""
    data.to(job.device)
    torch.manual_seed(0)
    widths = data.num_features, int(data.y.max()) + 1
    if way == PYG:
        return DenseNet(*widths).to(job.device), padded_inputs
    return SparseNet(*widths).to(job.device), flat_inputs


def _step(
    way: str, net: Module, inputs: Callable[[Data], Inputs], data: Data
) -> Callable[[], float]:
    """Padding where it is needed, forward, losses, backward and Adam."""
    call = epoch(net, inputs, [data])

    def step() -> float:
        os.environ[SWITCH] = WAYS[way]
        return call()

    return step


def compiled(job: Job) -> Cases:
    """A training step by `torch.compile`, beside the same as it is."""
    for way in (AUTO, PYG):
        yield way, partial(_compiled, job, way)


def _compiled(job: Job, way: str) -> Row:
    data, _ = job.mini_batch("PROTEINS", BATCH_SIZE)
    net, inputs = _model(way, data, job)
    fast: Any = torch.compile(net)
    calls = {"eager": _step(way, net, inputs, data)}
    calls["compiled"] = _step(way, fast, inputs, data)
    start = perf_counter()
    calls["compiled"]()
    return {"first": perf_counter() - start, "methods": job.outcomes(calls, 0.5)}


class Fixed(Module):
    """A net for mini-batches of one number of graphs: it takes tensors alone."""

    def __init__(self, net: Module, sizes: Sequence[int]) -> None:
        super().__init__()
        self.net, self.sizes = net, tuple(sizes)

    def forward(self, *tensors: Tensor) -> Any:
        """As the net."""
        return self.net(*tensors, *self.sizes)


def capture(job: Job) -> Cases:
    """The model captured in CUDA graphs, beside the same as it is."""
    for way in WAYS:
        yield way, partial(_capture, job, way)


def _capture(job: Job, way: str) -> Row:
    data, _ = job.mini_batch("PROTEINS", BATCH_SIZE)
    net, inputs = _model(way, data, job)
    given = inputs(data)
    tensors = [value for value in given if isinstance(value, Tensor)]
    sizes = [value for value in given if isinstance(value, int)]
    fixed = Fixed(net, sizes)
    twin, os.environ[SWITCH] = copy.deepcopy(fixed), WAYS[way]
    graphed: Any = torch.cuda.make_graphed_callables(
        fixed, tuple(tensors), allow_unused_input=True
    )
    outputs = zip(twin(*tensors), graphed(*tensors), strict=True)
    apart = [float((a - b).detach().abs().max()) for a, b in outputs]
    calls = {
        name: _step(way, each, lambda _: tuple(tensors), data)
        for name, each in (("eager", twin), ("graphed", graphed))
    }
    return {"apart": max(apart), "methods": job.outcomes(calls, 0.5)}


def launches(job: Job) -> Cases:
    """How many kernels a pass of the operator starts, and a training step."""
    for what, way in product(("operator", "training step"), WAYS):
        yield f"{what}, {way}", partial(_launches, job, what, way)


def _launches(job: Job, what: str, way: str) -> Row:
    data, _ = job.mini_batch("PROTEINS", BATCH_SIZE)
    call: Call = _step(way, *_model(way, data, job), data)
    if what == "operator":
        batch = with_noise(data.edge_index.cpu(), data.batch.cpu(), 32)
        call = operator_pass(way, batch.to(job.device, torch.float))
    for _ in range(3):
        call()
    activities = [ProfilerActivity.CPU]
    if job.device != "cpu":
        activities.append(ProfilerActivity.CUDA)
        torch.cuda.synchronize()
    with profile(activities=activities) as found:
        call()
        if job.device != "cpu":
            torch.cuda.synchronize()
    where = "CPU" if job.device == "cpu" else "CUDA"
    kernels = [
        (e.key, e.count, (e.self_device_time_total or e.self_cpu_time_total) / 1e6)
        for e in found.key_averages()
        if e.device_type.name == where and not getattr(e, "is_user_annotation", False)
    ]
    kernels.sort(key=lambda kernel: -kernel[2])
    return {
        "launches": sum(count for _, count, _ in kernels),
        "seconds": sum(seconds for *_, seconds in kernels),
        "longest": kernels[:LONGEST],
    }


def tests(job: Job) -> Cases:
    """The tests marked `cuda`, file by file; the others are not even collected."""
    del job
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "mark.cuda" in path.read_text():
            yield str(path.relative_to(ROOT)), partial(_tests, path, 90.0)


def _tests(path: Path, seconds: float) -> Row:
    """Run a file, with no plugin and no conftest, which ask for hypothesis."""
    options = ("-v", "-rfE", "--noconftest", "-p", "no:cacheprovider", "-m", "cuda")
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, str(path)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "300"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        text, status = run.communicate(timeout=seconds)[0], "ok"
    except subprocess.TimeoutExpired:
        run.kill()
        text, status = run.communicate()[0], f"over {seconds:g} s"
    if run.returncode > 0:
        status = f"exit status {run.returncode}"
    lines = text.strip().splitlines()
    ends = re.findall(r" (PASSED|FAILED|SKIPPED|ERROR)\b.*%\]$", text, re.MULTILINE)
    return {
        "status": status,
        "counts": {end.lower(): ends.count(end) for end in dict.fromkeys(ends)},
        "failures": [line for line in lines if re.match("FAILED |ERROR ", line)],
        "last": lines[-1] if lines else "",
    }


PARTS: dict[str, tuple[Callable[[Job], Cases], float]] = {
    "card": (card, 60.0),
    "operator": (operator, 120.0),
    "tests": (tests, 110.0),
    "steps": (steps, 60.0),
    "grid": (grid, 90.0),
    "launches": (launches, 40.0),
    "capture": (capture, 40.0),
    "compiled": (compiled, 120.0),
}
"""Cases and the most seconds of each, in order of what is wanted most."""
