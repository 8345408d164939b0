"""A device: its timer, the mini-batches on it, and runs that may fail."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_undirected

from benchmarks.batches import PoolingBatch
from benchmarks.methods import METHODS, TrainingPass, ours
from benchmarks.sets import QUICK, SPECS, draw, load_dataset
from benchmarks.timing import Budget, Call, Timer, clock, interleave

Row = dict[str, Any]
SIZES = Path(__file__).with_name("sizes.json")
"""Nodes and edges of each graph of the operator benchmark's mini-batches."""
AUTO, TORCH, PYG = WAYS = ("auto", "torch operations", "PyG dense_diff_pool")


@dataclass(frozen=True)
class Job:
    """What a part is told: where to measure, whether little, where the sets lie."""

    device: str
    quick: bool
    root: str

    @property
    def sets(self) -> Sequence[str]:
        return QUICK if self.quick else tuple(SPECS)

    def outcomes(self, calls: Mapping[str, Call], seconds: float) -> list[Row]:
        """Peak memory of each call, then the time of those that went, in turns."""
        rows = {name: attempt(partial(self._peak, f)) for name, f in calls.items()}
        able = {name: f for name, f in calls.items() if rows[name]["status"] == "ok"}
        budget = Budget(0.0, at_most=3) if self.quick else Budget(seconds, at_most=40)
        times = interleave(able, budget, self.timer())
        return [{"name": k, **row, "time": times.get(k)} for k, row in rows.items()]

    def timer(self) -> Timer:
        """Seconds of a call between two events; of short ones ten in a row.

        So the device runs behind the program, as in training. What a call leaves in the
        cache of the device the next one may use.
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
        for leaf in getattr(call, "leaves", ()):
            leaf.grad = None
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
        if dataset is not None:
            drawn = draw(dataset, count, spec.seed)
        else:
            random = np.random.default_rng(0)
            drawn = [random_graph(n, e, random) for n, e in known["graphs"][:count]]
        bare = [Data(edge_index=g.edge_index, num_nodes=g.num_nodes) for g in drawn]
        data = Batch.from_data_list(bare)
        torch.manual_seed(0)
        data.x = torch.randn(data.num_nodes, known["features"])
        data.y = torch.randint(known["classes"], (count,))
        return data, dataset is None


def random_graph(nodes: int, edges: int, random: np.random.Generator) -> Data:
    """An undirected graph without loops of exactly so many nodes and edges."""
    chosen = random.choice(nodes * (nodes - 1) // 2, edges // 2, replace=False)
    pairs = torch.triu_indices(nodes, nodes, 1)[:, torch.from_numpy(chosen)]
    return Data(edge_index=to_undirected(pairs, num_nodes=nodes), num_nodes=nodes)


class SwitchedPass(TrainingPass):
    """Forward and backward of the operator, by Triton or by torch's operations."""

    def __init__(self, way: str, batch: PoolingBatch, **options: Any) -> None:
        leaves = batch.leaves()
        if way == PYG:
            forward = METHODS[PYG].make(leaves)
        else:
            forward = ours(leaves, batch_size=leaves.sizes.numel(), **options)
        super().__init__(forward, (leaves.x, leaves.s))
        self.way = way

    def __call__(self) -> Sequence[Tensor]:
        choose(self.way)
        return super().__call__()


def choose(way: str) -> None:
    """Let what follows run by torch's operations, or by Triton where that goes."""
    os.environ.pop("PYG_DIFFPOOL_TRITON", None)
    if way == TORCH:
        os.environ["PYG_DIFFPOOL_TRITON"] = "0"


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


def is_lost(error: str) -> bool:
    """Whether a process can do nothing more on its device after this."""
    return "CUDA error" in error or "Triton Error [CUDA]" in error


def reason(error: Exception) -> str:
    lacks = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if lacks or "can't allocate memory" in str(error):
        return "out of memory"
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first.strip()[:300]}"
