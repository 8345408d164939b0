"""A training step compiled and as it is, in turns: `python -m benchmarks.compiled`.

`DiffPoolNet` with two levels on mini-batches of 20 graphs, one compiled graph for all.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.results import describe_run
from benchmarks.sets import SPECS, load_dataset, make_parser
from benchmarks.timing import clock, quiet, ratio_in_turns
from benchmarks.training_step import prepare_steps

STEPS = 4


def measure(name: str, root: Path, rounds: int) -> str | None:
    """A row of the table: milliseconds of a step both ways and their ratios."""
    dataset = load_dataset(name, root)
    if dataset is None:
        return None
    _, net, steps = prepare_steps(name, dataset, STEPS)
    torch.compiler.reset()
    compiled: Any = torch.compile(net, fullgraph=True, dynamic=True)

    def seconds(call: Any) -> float:
        steps(call)  # warm, after the other's turn
        return clock(partial(steps, call)) / STEPS

    first = clock(partial(steps, compiled))
    with quiet():
        cells = ratio_in_turns(
            partial(seconds, net), partial(seconds, compiled), rounds
        )
    return f"| {name} | {cells} | {first:.0f} |"


def main() -> None:
    """Print a table of the sets that are there."""
    parser = make_parser("benchmarks.compiled", __doc__)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| set | eager, ms | compiled, ms | eager / compiled | first four, s |")
    print("|---|--:|--:|--:|--:|")
    for name in options.sets or SPECS:
        row = measure(name, options.data, options.rounds)
        print(row or f"{name}: absent from {options.data}", flush=True)
    print(json.dumps(describe_run()))


if __name__ == "__main__":
    main()
