"""The command line: `python -m benchmarks {operator,...,report,all}`."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks import backends, growth, operators, training_step
from benchmarks.report import write_report
from benchmarks.results import FOLDER, save
from benchmarks.sets import Settings, make_parser

BENCHMARKS: dict[str, Callable[[Settings], Iterator[dict[str, Any]]]] = {
    "operator": operators.run,
    "training_step": training_step.run,
    "growth": growth.run,
    "backends": backends.run,
}


def main() -> None:
    """Run what is asked for; results as JSON, tables and pictures from that."""
    parser = make_parser("benchmarks", __doc__)
    parser.add_argument("benchmark", choices=[*BENCHMARKS, "report", "all"])
    parser.add_argument("--quick", action="store_true", help="small, in some minutes")
    parser.add_argument(
        "--results",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help="(default: benchmarks/results; of a quick run, quick/ in it)",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = options.results / "quick" if options.quick else options.results
    settings = Settings(options.data, options.quick, options.sets)
    for name, run in BENCHMARKS.items():
        if options.benchmark in (name, "all"):
            start = time.perf_counter()
            for content in run(settings):
                path = save(name, content, folder)
            print(f"{path} after {time.perf_counter() - start:.0f} s")
    if options.benchmark in ("report", "all"):
        for path in write_report(folder):
            print(path)


if __name__ == "__main__":
    main()
