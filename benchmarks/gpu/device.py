"""A device: its timer, the mini-batches on it, runs that may fail, what it can do."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_undirected

from benchmarks.batches import PoolingBatch, with_noise
from benchmarks.methods import METHODS, Make, TrainingPass, ours
from benchmarks.sets import QUICK, SPECS, draw, load_dataset
from benchmarks.timing import Budget, Call, Timer, clock, interleave

Row = dict[str, Any]
SIZES = Path(__file__).with_name("sizes.json")
"""Nodes and edges of each graph of the operator benchmark's mini-batches."""
SWITCH = "PYG_DIFFPOOL_TRITON"
AUTO, TORCH, PYG = "auto", "torch operations", "PyG dense_diff_pool"
WAYS = {AUTO: "1", TORCH: "0", PYG: "1"}


@dataclass(frozen=True)
class Job:
    """What a part is told: where to measure, whether little, where the sets lie."""

    device: str
    quick: bool
    root: str

    @property
    def sets(self) -> Sequence[str]:
        """The sets that are measured on."""
        return QUICK if self.quick else tuple(SPECS)

    def outcomes(self, calls: Mapping[str, Call], seconds: float) -> list[Row]:
        """Peak memory of each call, then the time of those that went, in turns."""
        rows = {name: attempt(partial(self._peak, f)) for name, f in calls.items()}
        able = {name: f for name, f in calls.items() if rows[name]["status"] == "ok"}
        budget = Budget(0.0, at_most=3) if self.quick else Budget(seconds, at_most=40)
        samples = interleave(able, budget, self.timer())
        for name, row in rows.items():
            row["time"] = samples[name].as_dict() if name in samples else None
        return [
            {"name": name, "ours": not name.startswith("PyG"), **row}
            for name, row in rows.items()
        ]

    def timer(self) -> Timer:
        """Seconds of a call between two events; of short ones ten in a row.

        So the device runs behind the program, as in training. What a call leaves over
        in the cache of the device the next one may use.
        """
        if self.device == "cpu":
            return clock

        def once(call: Call, times: int) -> float:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(times):
                call()
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end)) / 1e3 / times

        def timer(call: Call) -> float:
            single = once(call, 1)
            return single if single > 0.01 else once(call, 10)

        return timer

    def _peak(self, call: Call) -> Row:
        """Bytes above those held before, after a call that loads and compiles."""
        call()
        if self.device == "cpu":
            return {"peak_bytes": None}
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return {"peak_bytes": torch.cuda.max_memory_allocated() - held}

    def mini_batch(self, name: str, graphs: int | None = None) -> tuple[Batch, bool]:
        """The graphs of the operator benchmark, or the first few; are they made up?

        Where the set is not there, and always for PythonFunctions, which differs with
        the version of Python, they are random graphs of the same nodes and edges.
        Features are noise and labels random, as many as the set has.
        """
        known, spec = json.loads(SIZES.read_text())[name], SPECS[name]
        count = (graphs or spec.graphs) // (8 if self.quick else 1)
        is_real = name != "PythonFunctions"
        dataset = load_dataset(name, Path(self.root)) if is_real else None
        random = np.random.default_rng(0)
        drawn = (
            [random_graph(n, e, random) for n, e in known["graphs"][:count]]
            if dataset is None
            else draw(dataset, count, spec.seed)
        )
        torch.manual_seed(0)
        data = Batch.from_data_list(
            [Data(edge_index=g.edge_index, num_nodes=g.num_nodes) for g in drawn]
        )
        data.x = torch.randn(data.num_nodes, known["features"])
        data.y = torch.randint(known["classes"], (count,))
        return data, dataset is None


def random_graph(nodes: int, edges: int, random: np.random.Generator) -> Data:
    """An undirected graph without loops of exactly so many nodes and edges."""
    pairs = nodes * (nodes - 1) // 2
    chosen = random.choice(pairs, edges // 2, replace=False)
    edge_index = torch.triu_indices(nodes, nodes, 1)[:, torch.from_numpy(chosen)]
    both = torch.cat([edge_index, edge_index.flip(0)], 1)
    return Data(edge_index=both[:, both[0].argsort()], num_nodes=nodes)


def even_batch(graphs: int, nodes: int, clusters: int) -> PoolingBatch:
    """Random graphs of so many nodes each, of mean degree 8 or less."""
    random = torch.Generator().manual_seed(0)
    first = torch.arange(graphs).repeat_interleave(4 * nodes) * nodes
    edges = first + torch.randint(nodes, (2, first.numel()), generator=random)
    edges = to_undirected(edges[:, edges[0] != edges[1]], num_nodes=graphs * nodes)
    batch = torch.arange(graphs).repeat_interleave(nodes)
    return with_noise(edges, batch, clusters)


@dataclass
class SwitchedPass(TrainingPass):
    """By Triton, where that can be had, or by torch's operations."""

    triton: str = field(default="1")

    def __call__(self) -> Sequence[Tensor]:
        """Run."""
        os.environ[SWITCH] = self.triton
        return super().__call__()


def operator_pass(way: str, batch: PoolingBatch, **options: Any) -> SwitchedPass:
    """Forward and backward of the operator."""
    leaves = batch.leaves()
    size = leaves.sizes.numel()
    make: Make = partial(ours, batch_size=size, **options)
    if way == PYG:
        make = METHODS[PYG].make
    return SwitchedPass(make(leaves), (leaves.x, leaves.s), triton=WAYS[way])


def attempt(measure: Callable[[], Row]) -> Row:
    """What `measure` gives, and a status; a device that is lost raises."""
    try:
        return {"status": "ok", **measure()}
    except Exception as error:
        if is_lost(str(error)):
            raise
        if isinstance(error, torch.OutOfMemoryError):
            torch.cuda.empty_cache()
        return {"status": reason(error)}


def reason(error: Exception) -> str:
    """An error in a line."""
    lacks = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if lacks or "can't allocate memory" in str(error):
        return "out of memory"
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {lines[0].strip()[:300]}"


def is_lost(error: str) -> bool:
    """Whether a process can do nothing more on its device after this."""
    return "CUDA error" in error or "Triton Error [CUDA]" in error


def executor() -> str:
    """What `backend="auto"` computes by on a GPU, as far as imports tell."""
    try:
        triton = import_module("triton")
        import_module("pyg_diffpool._triton")
    except ImportError as error:
        return f"torch operations ({error})"
    return f"Triton {triton.__version__}"


def kernel_bytes(batch: PoolingBatch) -> int | None:
    """Bytes that the kernels move in a step by their own arithmetic, where it is told.

    That is `pyg_diffpool._triton.traffic`, of the sizes of the mini-batch.
    """
    try:
        traffic = import_module("pyg_diffpool._triton").traffic
        return int(traffic(**batch.describe(), itemsize=batch.x.itemsize))
    except Exception:
        return None


def least_bytes(batch: PoolingBatch) -> int:
    """Bytes that a step must move.

    Read forward: features, logits, edges, graphs of the nodes; read backward: features,
    edges, S, A S and the gradients of X' and A'. Written: S, A S, X', A' and the
    gradients of features and logits. Each once.
    """
    n, b, k, c, e = _sizes(batch)
    elements = 3 * n * c + 6 * n * k + 2 * b * k * (c + k)
    return elements * batch.x.itemsize + 2 * 16 * e + 8 * n


def least_flops(batch: PoolingBatch) -> int:
    """Of the dense products: S^T [Z | A S | S], and twice that backward."""
    n, _, k, c, _ = _sizes(batch)
    return 3 * 2 * n * k * (c + 2 * k)


def _sizes(batch: PoolingBatch) -> list[int]:
    sizes = batch.describe()
    return [
        sizes[name] for name in ("nodes", "graphs", "clusters", "channels", "edges")
    ]


def speeds(job: Job) -> Row:
    """Bytes a second of a large copy, FLOPs a second of large matrix products."""
    row: Row = {}
    n, numbers = (512, 1 << 20) if job.quick else (8192, 1 << 28)
    one = torch.zeros(numbers, device=job.device)
    calls: dict[str, Call] = {"copy": partial(torch.empty_like(one).copy_, one)}
    for dtype in (torch.float, torch.bfloat16):
        square = torch.randn(n, n, device=job.device).to(dtype)
        calls[str(dtype)] = partial(torch.mm, square, square)
    best = {m["name"]: m["time"]["q1"] for m in job.outcomes(calls, 0.3)}
    row["bytes_a_second"] = 8 * numbers / best.pop("copy")
    row["flops_a_second"] = {
        name.split(".")[1]: 2 * n**3 / seconds for name, seconds in best.items()
    }
    return row
