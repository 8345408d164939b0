"""Two checkouts of this repository in turns: `python -m benchmarks.compare OLD [NEW]`.

Each has a process of its own, with this benchmark code and that checkout's package, of
which only the lasting public functions are used. One waits while the other works, and
every other round goes backwards.
"""

import copy
import functools
import itertools
import json
import math
import multiprocessing
import os
import subprocess
import sys
import timeit
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import InMemoryDataset

import pyg_diffpool
from benchmarks.batches import draw_batch
from benchmarks.methods import TrainingPass
from benchmarks.results import describe_run
from benchmarks.sets import SPECS, load_dataset, make_parser
from benchmarks.timing import Call, clock, quiet, summary
from benchmarks.training_step import net_pass, prepare_steps

ROOT = Path(__file__).parents[1]
WHAT = ("operator", "step", "edge_weight")
SECONDS = 0.02  # that one answer takes at least
TOLERANCE = 1e-3
WARM_UP = 5
Prepared = tuple[dict[str, Tensor], Call]  # what comes out, and the call to be timed
load = functools.lru_cache(1)(load_dataset)


def main() -> None:
    """Print a table; fail where results differ."""
    parser = make_parser("benchmarks.compare", __doc__)
    parser.add_argument("old", type=Path, help="a checkout")
    parser.add_argument("new", type=Path, nargs="?", default=ROOT, help="(this one)")
    parser.add_argument("--what", nargs="+", choices=WHAT, default=WHAT)
    parser.add_argument("--repeats", type=int, default=31, help="rounds (default: 31)")
    options, differ = parser.parse_args(), False
    torch.set_num_threads(options.threads)  # for the description of the run
    print("| set | what | old, ms | new, ms | old / new (quartiles) |")
    print("|---|---|--:|--:|--:|", flush=True)
    old, new = (start(side, options.threads) for side in (options.old, options.new))
    with old as one, new as other:
        for name, what in itertools.product(options.sets or SPECS, options.what):
            question = (name, what, options.data.resolve())
            for line in compare((one, other), question, options.repeats):
                print(line, flush=True)
                differ |= line.startswith("ERROR")
    print("\n" + json.dumps(describe_run()))
    if differ:
        raise SystemExit("Results differ.")


@contextmanager
def start(checkout: Path, threads: int) -> Iterator[Connection]:
    """A process that works with the package of `checkout`."""
    source = str(checkout.resolve() / "src")
    here, there = multiprocessing.Pipe()
    program = f"from benchmarks.compare import work; work({there.fileno()}, {threads})"
    paths = os.pathsep.join((source, str(ROOT)))
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(threads)},
        stdout=sys.stderr,  # what loading a set prints is no row
        pass_fds=[there.fileno()],
    ):
        there.close()
        with here:  # its end ends the process
            if not str(package := here.recv()).startswith(source):
                raise SystemExit(f"Expected a package in {source} (got {package}).")
            yield here


def compare(
    sides: Sequence[Connection], question: tuple[str, str, Path], repeats: int
) -> Iterator[str]:
    """A row of the table, and lines on what differs between the results."""
    (old, before), (new, after) = (_ask(side, question) for side in sides)
    row = f"| {question[0]} | {question[1]} |"
    if not old:
        yield f"{row} absent from the root | | |"
        return
    loops = math.ceil(SECONDS / min(before, after))
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats):
        for i in (0, 1) if turn % 2 == 0 else (1, 0):
            times[i].append(_ask(sides[i], loops))
    ms = [f"{1e3 * summary(each)['median']:.3g}" for each in times]
    ratio = summary([a / b for a, b in zip(*times, strict=True)])
    quartiles = "{median:.3f} ({q1:.3f} to {q3:.3f})".format(**ratio)
    yield f"{row} {ms[0]} | {ms[1]} | {quartiles} |"
    yield from differences(old, new)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """An error for each result that is further apart than by rounding."""
    for key, value in old.items():
        apart, size = abs(new[key] - value).sum(), abs(value).sum()
        if not apart <= TOLERANCE * size:  # also where one is NaN
            yield f"ERROR: {key} differs by {apart:.3g} of {size:.3g} in sum"


def _ask(side: Connection, question: Any) -> Any:
    side.send(question)
    return side.recv()


def work(pipe: int, threads: int) -> None:
    """Answer questions: prepare a call, or say how long one of so many takes."""
    torch.set_num_threads(threads)
    call: Call = int
    with Connection(pipe) as other, quiet(), suppress(EOFError):
        other.send(pyg_diffpool.__file__)
        while question := other.recv():
            if isinstance(question, int):
                each = timeit.timeit(call, number=question) / question
                other.send(each)
            else:
                call = int  # which frees the memory of the last one
                results, call = _prepare(*question)
                arrays = {k: t.detach().double().numpy() for k, t in results.items()}
                other.send((arrays, min(clock(call) for _ in range(WARM_UP))))


def _prepare(name: str, what: str, root: Path) -> Prepared:
    """The results of `what` on a set, none where it is absent, and the call."""
    if (dataset := load(name, root)) is None:
        return {}, int
    if what == "step":
        return _step(name, dataset)
    return _operator(name, dataset, weighted=what == "edge_weight")


def _operator(name: str, dataset: InMemoryDataset, weighted: bool) -> Prepared:
    """Forward and backward of `diff_pool` on the mini-batch of a set."""
    spec = SPECS[name]
    data = draw_batch(dataset, spec.graphs, spec.clusters, spec.seed).leaves()
    leaves = {"x": data.x, "s": data.s}
    if weighted:
        random = torch.Generator().manual_seed(1)
        weight = torch.rand(data.edge_index.size(1), generator=random) + 0.5
        leaves["edge_weight"] = weight.requires_grad_()
    inputs: dict[str, Any] = {**leaves, "adj": data.edge_index, "batch": data.batch}
    names = ("x", "adj", "link_loss", "entropy_loss")

    def forward() -> list[Tensor]:
        out = pyg_diffpool.diff_pool(**inputs)
        return [getattr(out, name) for name in names]

    call = TrainingPass(forward, list(leaves.values()))
    keys = [*names, *(f"{leaf}.grad" for leaf in leaves)]
    found = zip(keys, call.results(), strict=True)
    return {key: value for key, value in found if value is not None}, call


def _step(name: str, dataset: InMemoryDataset) -> Prepared:
    """A training step of `DiffPoolNet` on 20 graphs of a set."""
    (data,), net, call = prepare_steps(name, dataset, steps=1)
    # Compared in float64: batch norms of constant features leave float32 no digits.
    exact = copy.deepcopy(net).double()
    found = net_pass(exact, data, data.x.double())
    grads = [p.grad.flatten() for p in exact.parameters() if p.grad is not None]
    return {**found, "gradients": torch.cat(grads)}, lambda: call(net)


if __name__ == "__main__":
    main()
