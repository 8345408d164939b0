"""A training step compiled and as it is, in turns: `python -m benchmarks.compiled`.

`DiffPoolNet` with two levels on mini-batches of 20 graphs, one compiled graph for all.
"""

import argparse
import json
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module
from torch.nn.functional import cross_entropy
from torch_geometric.loader import DataLoader

from benchmarks.batches import default_root, load_dataset
from benchmarks.machine import describe_run
from benchmarks.timing import clock, quiet
from benchmarks.training_step import BATCH_SIZE, SPECS, draw_graphs
from pyg_diffpool import DiffPoolNet

STEPS = 4


def measure(name: str, root: Path, rounds: int) -> str | None:
    """A row of the table: seconds of a step both ways, median of the ratios."""
    dataset = load_dataset(name, root)
    if dataset is None:
        return None
    (seed,) = (spec.seed for spec in SPECS if spec.dataset == name)
    batches = list(DataLoader(draw_graphs(dataset, STEPS, seed), BATCH_SIZE))
    classes = 1 + max(int(data.y.max()) for data in batches)
    torch.manual_seed(0)
    net = DiffPoolNet(batches[0].num_features, 64, classes, [16, 4])
    torch.compiler.reset()
    compiled = torch.compile(net, fullgraph=True, dynamic=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def step(call: Module, data: Any) -> None:
        optimizer.zero_grad()
        where = {"batch": data.batch, "batch_size": data.num_graphs}
        out = call(data.x, data.edge_index, **where)
        (cross_entropy(out.out, data.y) + out.auxiliary_loss).backward()
        optimizer.step()

    def steps(call: Any) -> None:
        for data in batches:
            step(call, data)

    first = clock(lambda: steps(compiled))
    times: dict[Any, list[float]] = {net: [], compiled: []}
    with quiet():
        for i in range(rounds):
            for call in list(times)[:: 1 if i % 2 else -1]:
                steps(call)  # warm, after the other's turn
                times[call].append(clock(partial(steps, call)) / STEPS)
    eager, fast = (1e3 * statistics.median(t) for t in times.values())
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    spread = f"{ratio:.2f} ({low:.2f} to {high:.2f})"
    return f"| {name} | {eager:.1f} | {fast:.1f} | {spread} | {first:.0f} |"


def main() -> None:
    """Print a table of the sets that are there."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.compiled", description=__doc__
    )
    parser.add_argument("--root", type=Path, default=default_root())
    parser.add_argument("--sets", nargs="+", default=[s.dataset for s in SPECS])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| set | eager, ms | compiled, ms | eager / compiled | first four, s |")
    print("|---|--:|--:|--:|--:|")
    for name in options.sets:
        row = measure(name, options.root, options.rounds)
        print(row or f"{name}: absent from {options.root}", flush=True)
    print(json.dumps(describe_run()))


if __name__ == "__main__":
    main()
