"""The command line: `python -m benchmarks {operator,...,report,all}`."""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks import accel, backends, grid, growth, operators, training_step
from benchmarks.batches import default_root
from benchmarks.report import write_report
from benchmarks.results import FOLDER, save
from benchmarks.settings import Settings

BENCHMARKS: dict[str, Callable[[Settings], Iterator[dict[str, Any]]]] = {
    "operator": operators.run,
    "training_step": training_step.run,
    "growth": growth.run,
    "grid": grid.run,
    "backends": backends.run,
    "accel": accel.run,
}


def main() -> None:
    """Run what is asked for; results as JSON, tables and pictures from that."""
    options = _parser().parse_args()
    torch.set_num_threads(options.threads)
    folder = options.results / "quick" if options.quick else options.results
    settings = Settings(options.data, options.threads, options.quick, options.sets)
    for name, run in BENCHMARKS.items():
        if options.benchmark in (name, "all"):
            start = time.perf_counter()
            for content in run(settings):
                path = save(name, content, folder)
            print(f"{path} after {time.perf_counter() - start:.0f} s")
    if options.benchmark in ("report", "all"):
        for path in write_report(folder):
            print(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("benchmark", choices=[*BENCHMARKS, "report", "all"])
    parser.add_argument(
        "--quick", action="store_true", help="small, in under three minutes"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=default_root(),
        metavar="ROOT",
        help="folder of the TU sets, as NAME/raw or NAME.tar.xz (default: "
        "$PYG_DIFFPOOL_DATA, or shared/data beside the checkout)",
    )
    parser.add_argument(
        "--sets", nargs="+", default=(), metavar="SET", help="only these data sets"
    )
    parser.add_argument("--threads", type=int, default=1, help="(default: 1)")
    parser.add_argument(
        "--results",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help="(default: benchmarks/results; of a quick run, quick/ in it)",
    )
    return parser


if __name__ == "__main__":
    main()
