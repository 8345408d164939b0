"""The parts: what each measures, and its cases."""

import copy
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.profiler import ProfilerActivity, profile
from torch_geometric.data import Data

from benchmarks.batches import PoolingBatch, sparse_batch, with_noise
from benchmarks.gpu import traffic
from benchmarks.gpu.device import (
    AUTO,
    PYG,
    TORCH,
    WAYS,
    Job,
    Row,
    SwitchedPass,
    attempt,
    choose,
)
from benchmarks.sets import BATCH_SIZE, SPECS
from benchmarks.timing import Call, clock
from benchmarks.training_step import (
    DenseNet,
    Inputs,
    SparseNet,
    epoch,
    flat_inputs,
    padded_inputs,
)
from pyg_diffpool import _engine

ROOT = Path(__file__).parents[2]
GRID = ((1, 16, 128), (10, 100, 1000), (4, 16, 64))
QUICK_GRID = ((1, 4), (10, 30), (4,))
LONGEST = 15
STEP = "training step"
TESTS = 140  # seconds


def card(job: Job) -> Row:
    """What the device is, and how fast at its best."""
    n, numbers = (512, 1 << 20) if job.quick else (8192, 1 << 28)
    one = torch.zeros(numbers, device=job.device)
    calls: dict[str, Call] = {"copy": partial(torch.empty_like(one).copy_, one)}
    for dtype in ("float32", "bfloat16"):
        square = torch.randn(n, n, device=job.device).to(getattr(torch, dtype))
        calls[dtype] = partial(torch.mm, square, square)
    best = {m["name"]: m["time"]["q1"] for m in job.outcomes(calls, 0.3)}
    row: Row = {"name": "cpu", "auto": _executor(), "cuda": torch.version.cuda}
    if job.device != "cpu":
        found = torch.cuda.get_device_properties(0)
        row |= {"name": found.name, "capability": f"{found.major}.{found.minor}"}
        row["gib"] = round(found.total_memory / 2**30, 1)
    row["bytes_a_second"] = 8 * numbers / best.pop("copy")
    return {**row, "flops_a_second": {k: 2 * n**3 / s for k, s in best.items()}}


def _executor() -> str:
    """What `backend="auto"` computes by on a GPU, or would if there were one."""
    try:
        triton = import_module("triton")
        import_module("pyg_diffpool._triton_level")
    except ImportError as error:
        return f"torch operations ({error})"
    if torch.cuda.is_available() and not _engine.runs_on(torch.empty(0).cuda()):
        return "torch operations (the kernels were not right)"
    return f"Triton {triton.__version__}"


def operator(job: Job, name: str, dtype: str) -> Row:
    """Forward and backward, memory and errors on the mini-batch of a set."""
    data, is_made_up = job.mini_batch(name)
    batch = with_noise(data.edge_index, data.batch, SPECS[name].clusters)
    batch = batch.to(job.device, getattr(torch, dtype))
    methods = job.outcomes({way: SwitchedPass(way, batch) for way in WAYS}, 0.3)
    exact = SwitchedPass(TORCH, batch.to(job.device, torch.double), normalize="padded")
    for row in methods:
        if row["status"] == "ok":
            row |= attempt(partial(_error, row["name"], batch, exact))
    row = {"dataset": name, "dtype": dtype, "made_up": is_made_up, "methods": methods}
    return {**row, "batch": batch.describe(), **_work(batch)}


def _error(way: str, batch: PoolingBatch, exact: SwitchedPass) -> Row:
    """The largest relative error of an output or gradient, against float64."""
    run = SwitchedPass(way, batch, **({} if way == PYG else {"normalize": "padded"}))
    found: list[Any] = run.results()
    exact.gradients = [gradient.double() for gradient in run.gradients]
    errors, norm = [], torch.linalg.vector_norm
    for value, right in zip(found, exact.results(), strict=True):
        errors.append(float(norm(value.double() - right) / norm(right)))
    is_finite = all(map(math.isfinite, errors))
    return {"error": max(errors)} if is_finite else {"status": "not finite"}


def _work(batch: PoolingBatch) -> Row:
    """What a step must do at least, and the bytes that the kernels say they move.

    Dense products: S^T [Z | A S | S], and twice that backward.
    """
    sizes, itemsize = batch.describe(), batch.x.itemsize
    names = ("graphs", "nodes", "edges", "clusters", "channels")
    b, n, e, k, c = (sizes[name] for name in names)
    given = b, n, e, k, c, itemsize
    return {
        "least_bytes": traffic.least(*given),
        "least_flops": 3 * 2 * n * k * (c + 2 * k),
        "kernel_bytes": traffic.moved(*given),
    }


def grid(job: Job, b: int, n: int, k: int) -> Row:
    batch = sparse_batch(b, n, 8, k).to(job.device, torch.float)
    calls = {way: SwitchedPass(way, batch) for way in (AUTO, PYG)}
    return {"methods": job.outcomes(calls, 0.1)}


class Model:
    """PyG's example model or ours, on the device, with 20 graphs of a set there."""

    def __init__(self, job: Job, way: str, name: str = "PROTEINS") -> None:
        self.data, self.is_made_up = job.mini_batch(name, BATCH_SIZE)
        self.data.to(job.device)
        self.way, kind = way, DenseNet if way == PYG else SparseNet
        self.inputs = padded_inputs if way == PYG else flat_inputs
        torch.manual_seed(0)
        self.net: Module = kind(self.data.num_features, int(self.data.y.max()) + 1)
        self.net.to(job.device)

    def step(self, net: Module, inputs: Callable[[Data], Inputs]) -> Call:
        """Padding where it is needed, forward, losses, backward and Adam."""
        run = epoch(net, inputs, [self.data])

        def call() -> None:
            choose(self.way)
            run()

        return call


def steps(job: Job, name: str) -> Row:
    models = {way: Model(job, way, name) for way in WAYS}
    methods = job.outcomes(
        {way: m.step(m.net, m.inputs) for way, m in models.items()}, 0.4
    )
    return {"made_up": models[AUTO].is_made_up, "methods": methods}


def compiled(job: Job, way: str) -> Row:
    """A training step by `torch.compile`, beside the same as it is."""
    model = Model(job, way)
    fast: Any = torch.compile(model.net)
    nets = {"eager": model.net, "compiled": fast}
    calls = {name: model.step(net, model.inputs) for name, net in nets.items()}
    first = clock(calls["compiled"])
    return {"first_seconds": first, "methods": job.outcomes(calls, 0.5)}


class Fixed(Module):
    """A net for mini-batches of one number of graphs: it takes tensors alone."""

    def __init__(self, net: Module, sizes: Inputs) -> None:
        super().__init__()
        self.net, self.sizes = net, sizes

    def forward(self, *tensors: Tensor) -> Any:
        return self.net(*tensors, *self.sizes)


def capture(job: Job, way: str) -> Row:
    """The model captured in CUDA graphs, beside the same as it is."""
    model = Model(job, way)
    given = model.inputs(model.data)
    tensors = tuple(value for value in given if isinstance(value, Tensor))
    fixed = Fixed(model.net, given[len(tensors) :])
    twin = copy.deepcopy(fixed)
    choose(way)
    graphed: Any = torch.cuda.make_graphed_callables(
        fixed, tensors, allow_unused_input=True
    )
    torch.testing.assert_close(graphed(*tensors), twin(*tensors), rtol=1e-3, atol=1e-4)
    both = {"eager": twin, "graphed": graphed}
    calls = {name: model.step(net, lambda _: tensors) for name, net in both.items()}
    return {"methods": job.outcomes(calls, 0.5)}


def launches(job: Job, what: str, way: str) -> Row:
    """How many kernels a pass of the operator on a set starts, or a training step."""
    on_cpu = job.device == "cpu"
    if what == STEP:
        model = Model(job, way)
        call = model.step(model.net, model.inputs)
    else:
        data, _ = job.mini_batch(what)
        batch = with_noise(data.edge_index, data.batch, SPECS[what].clusters)
        call = SwitchedPass(way, batch.to(job.device, torch.float))
    for _ in range(3):
        call()
    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    with profile(activities=activities[: 1 if on_cpu else 2]) as found:
        call()
        if not on_cpu:
            torch.cuda.synchronize()
    kernels = [
        (e.key, e.count, (e.self_device_time_total or e.self_cpu_time_total) / 1e6)
        for e in found.key_averages()
        if e.device_type.name == ("CPU" if on_cpu else "CUDA")
        and not getattr(e, "is_user_annotation", False)
    ]
    kernels.sort(key=lambda kernel: -kernel[2])
    return {
        "launches": sum(count for _, count, _ in kernels),
        "seconds": sum(seconds for *_, seconds in kernels),
        "longest": kernels[:LONGEST],
    }


def tests(_: Job, *paths: str) -> Row:
    """Those marked `cuda`; without the conftest that asks for hypothesis."""
    spread = ("-n8",) if find_spec("xdist") else ()
    options = (
        *spread,
        "-v",
        "-rfE",
        "--confcutdir=tests/kernels",
        "-pno:cacheprovider",
        "-mcuda",
    )
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *paths],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "300"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        try:
            text = run.communicate(timeout=TESTS)[0]
        except subprocess.TimeoutExpired:
            run.terminate()
            text = run.communicate()[0] + f"\nover {TESTS} s"
    lines = text.strip().splitlines()
    end = r" (PASSED|FAILED|SKIPPED|ERROR)(?: \[ *\d+%\]| tests.*)$"
    ends = re.findall(end, text, re.MULTILINE)
    return {
        "status": "ok" if run.returncode == 0 else f"exit status {run.returncode}",
        "counts": ", ".join(f"{ends.count(e)} {e}" for e in dict.fromkeys(ends)),
        "failures": [line for line in lines if re.match("FAILED |ERROR ", line)],
        "last": lines[-1],
    }


def _mini_batches(job: Job) -> list[tuple[str, str]]:
    return [(name, dtype) for dtype in ("float32", "bfloat16") for name in job.sets]


def _files(_: Job) -> list[tuple[str, ...]]:
    """All in one run; the others are not even collected."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    marked = [path for path in files if "mark.cuda" in path.read_text()]
    return [tuple(str(path.relative_to(ROOT)) for path in marked)]


@dataclass(frozen=True)
class Part:
    """What is measured, the most seconds of it all, and the arguments of each case."""

    measure: Callable[..., Row]
    seconds: float
    cases: Callable[[Job], Iterable[tuple[Any, ...]]]


PARTS = {
    "card": Part(card, 60.0, lambda _: [()]),
    "operator": Part(operator, 180.0, _mini_batches),
    "launches": Part(launches, 60.0, lambda job: product((*job.sets, STEP), WAYS)),
    "steps": Part(steps, 60.0, lambda job: product(job.sets)),
    "tests": Part(tests, TESTS + 20.0, _files),
    "grid": Part(grid, 90.0, lambda job: product(*(QUICK_GRID if job.quick else GRID))),
    "capture": Part(capture, 40.0, lambda _: product(WAYS)),
    "compiled": Part(compiled, 120.0, lambda _: product((AUTO, PYG))),
}
"""In order of what is wanted most."""
