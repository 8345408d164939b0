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
import timeit
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import InMemoryDataset

import pyg_diffpool
from benchmarks.batches import draw_batch
from benchmarks.isolated import Worker
from benchmarks.methods import TrainingPass
from benchmarks.results import describe_run
from benchmarks.sets import SPECS, load_dataset, make_parser
from benchmarks.timing import Call, clock, summary
from benchmarks.training_step import net_pass, prepare_steps

ROOT = Path(__file__).parents[1]
WHAT = ("operator", "step", "edge_weight")
SECONDS = 0.02  # that one answer takes at least
TOLERANCE = 1e-3
WARM_UP = 5
Prepared = tuple[dict[str, Tensor], Call]  # what comes out, and the call to be timed
load = functools.lru_cache(1)(load_dataset)
prepared: dict[str, Call] = {}  # of the process


def main() -> None:
    parser = make_parser("benchmarks.compare", __doc__)
    parser.add_argument("old", type=Path, help="a checkout")
    parser.add_argument("new", type=Path, nargs="?", default=ROOT, help="(this one)")
    parser.add_argument("--what", nargs="+", choices=WHAT, default=WHAT)
    parser.add_argument("--repeats", type=int, default=31, help="rounds (default: 31)")
    options, differ = parser.parse_args(), False
    torch.set_num_threads(options.threads)
    print("| set | what | old, ms | new, ms | old / new (quartiles) |")
    print("|---|---|--:|--:|--:|", flush=True)
    sides = [start(checkout) for checkout in (options.old, options.new)]
    for name, what in itertools.product(options.sets or SPECS, options.what):
        question = (name, what, options.data.resolve())
        for line in compare(sides, question, options.repeats):
            print(line, flush=True)
            differ |= line.startswith("ERROR")
    for side in sides:
        side.close()
    print("\n" + json.dumps(describe_run()))
    if differ:
        raise SystemExit("Results differ.")


def start(checkout: Path) -> Worker:
    """A process that works with the package of `checkout`."""
    source = str(checkout.resolve() / "src")
    side = Worker(paths=[source])
    if not (package := side.ask(find_package)).startswith(source):
        side.close()
        raise SystemExit(f"Expected a package in {source} (got {package}).")
    return side


def find_package() -> str:
    return str(pyg_diffpool.__file__)


def compare(
    sides: Sequence[Worker], question: tuple[str, str, Path], repeats: int
) -> Iterator[str]:
    """A row of the table, and lines on what differs between the results."""
    (old, before), (new, after) = (side.ask(prepare, *question) for side in sides)
    row = f"| {question[0]} | {question[1]} |"
    if not old:
        yield f"{row} absent from the root | | |"
        return
    loops = math.ceil(SECONDS / min(before, after))
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats):
        for i in (0, 1) if turn % 2 == 0 else (1, 0):
            times[i].append(sides[i].ask(measure, loops))
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


def measure(loops: int) -> float:
    """Seconds of one of so many calls, without pauses by the garbage collector."""
    return timeit.timeit(prepared["call"], number=loops) / loops


def prepare(name: str, what: str, root: Path) -> tuple[dict[str, Any], float]:
    """The results of `what` on a set, none where it is absent; seconds of a call."""
    prepared.clear()  # which frees the memory of the last one
    if (dataset := load(name, root)) is None:
        return {}, 0.0
    weighted = what == "edge_weight"
    found = (
        _step(name, dataset) if what == "step" else _operator(name, dataset, weighted)
    )
    results, prepared["call"] = found
    arrays = {key: t.detach().double().numpy() for key, t in results.items()}
    return arrays, min(clock(prepared["call"]) for _ in range(WARM_UP))


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
