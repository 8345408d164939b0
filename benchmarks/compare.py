"""Two checkouts of this repository in turns: `python -m benchmarks.compare OLD [NEW]`.

Each has a process of its own, with this benchmark code and that checkout's package. One
waits while the other works, and every other round goes backwards.
"""

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.batches import SPECS, default_root
from benchmarks.machine import describe_run
from benchmarks.timing import Sample

ROOT = Path(__file__).parents[1]
WHAT = ("operator", "step", "edge_weight")
SECONDS = 0.02  # that one answer takes at least
TOLERANCE = 1e-3
HEAD = (
    "| set | what | old, ms | new, ms | old / new (quartiles) |\n|---|---|--:|--:|--:|"
)
Ask = Callable[[Any], Any]


@contextmanager
def start(checkout: Path, threads: int) -> Iterator[Ask]:
    """A process with the package of `checkout`: the function that asks it."""
    source = str(checkout.resolve() / "src")
    paths = {"PYTHONPATH": os.pathsep.join((source, str(ROOT)))}
    command = [sys.executable, "-m", "benchmarks.compare_worker", str(threads)]
    environment = {**os.environ, **paths, "OMP_NUM_THREADS": str(threads)}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, bufsize=1, **pipes
    ) as process:
        questions, answers = process.stdin, process.stdout
        assert questions is not None
        assert answers is not None

        def ask(question: Any) -> Any:
            if question is not None:
                print(json.dumps(question), file=questions)
            if not (line := answers.readline()):
                raise SystemExit(f"{checkout} failed at {question or 'the start'}")
            return json.loads(line)

        if not str(package := ask(None)).startswith(source):
            raise SystemExit(f"Expected a package in {source} (got {package}).")
        yield ask


def compare(
    sides: Sequence[Ask], name: str, what: str, root: Path, repeats: int
) -> str:
    """A row of the table, and lines on what differs between the results."""
    question = {"name": name, "what": what, "root": str(root.resolve())}
    prepared = [side(question) for side in sides]
    if None in prepared:
        return f"| {name} | {what} | absent from the root | | |"
    loops = math.ceil(SECONDS / min(seconds for _, seconds in prepared))
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            times[side].append(sides[side](loops))
    old, new = (f"{1e3 * Sample.of(t).median:.3g}" for t in times)
    ratio = Sample.of([a / b for a, b in zip(*times, strict=True)])
    spread = f"{ratio.median:.3f} ({ratio.q1:.3f} to {ratio.q3:.3f})"
    row = f"| {name} | {what} | {old} | {new} | {spread} |"
    return "\n".join([row, *differences(prepared[0][0], prepared[1][0])])


def differences(
    old: dict[str, tuple[float, float]], new: dict[str, tuple[float, float]]
) -> Iterator[str]:
    """An error for each result whose sums are further apart than by rounding."""
    for key, (one, size) in old.items():
        other, other_size = new[key]
        apart = max(abs(one - other), abs(size - other_size))
        if not apart <= TOLERANCE * size:  # also where one is NaN
            yield (
                f"ERROR: {key} differs: sums {one:.6g} and {other:.6g}, of absolute "
                f"values {size:.6g} and {other_size:.6g}"
            )


def main() -> None:
    """Print a table for each number of threads; fail where results differ."""
    options, rows = _parser().parse_args(), []
    for threads in options.threads:
        print(f"\nThreads: {threads}\n\n{HEAD}", flush=True)
        with start(options.old, threads) as old, start(options.new, threads) as new:
            for name, what in itertools.product(options.sets, options.what):
                choice = (name, what, options.root, options.repeats)
                rows.append(compare((old, new), *choice))
                print(rows[-1], flush=True)
    run = describe_run()
    print("\n" + json.dumps({k: v for k, v in run.items() if k != "threads"}))
    if any("ERROR" in row for row in rows):
        raise SystemExit("Results differ.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.compare", description=__doc__
    )
    parser.add_argument("old", type=Path, help="a checkout")
    parser.add_argument(
        "new", type=Path, nargs="?", default=ROOT, help="(default: this one)"
    )
    parser.add_argument(
        "--root", type=Path, default=default_root(), help="folder of the data sets"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    names = [spec.dataset for spec in SPECS]
    parser.add_argument("--sets", nargs="+", choices=names, default=names)
    parser.add_argument("--what", nargs="+", choices=WHAT, default=WHAT)
    parser.add_argument("--repeats", type=int, default=31, help="rounds (default: 31)")
    return parser


if __name__ == "__main__":
    main()
