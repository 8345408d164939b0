"""The command line: `python -m benchmarks {operator,...,gpu,report,all}`."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import backends, growth, operators, training_step
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.runner import run_gpu
from benchmarks.report import write_report
from benchmarks.results import FOLDER, Results, save
from benchmarks.sets import Settings, make_parser, measure_sets

BENCHMARKS: dict[str, Callable[[Settings], Results]] = {
    "operator": partial(measure_sets, operators.measure_set),
    "training_step": partial(measure_sets, training_step.measure_set),
    "compiled": partial(measure_sets, training_step.measure_compiled),
    "growth": growth.run,
    "backends": backends.run,
}


def main() -> None:
    parser = make_parser("benchmarks", __doc__)
    add: Any = parser.add_argument
    add("benchmark", choices=[*BENCHMARKS, "report", "all", "gpu"])
    add("--quick", action="store_true", help="small, in some minutes")
    where = "(default: benchmarks/results; of a quick run, quick/ in it)"
    add("--results", type=Path, default=FOLDER, metavar="FOLDER", help=where)
    add("--device", default="cuda", help="of gpu; cpu is to try it (default: cuda)")
    add("--parts", nargs="+", choices=list(PARTS), help="of gpu (default: all)")
    add("--minutes", type=float, default=6.0, help="of gpu, in all (default: 6)")
    add("--report", action="store_true", help="of gpu: draw anew, measure nothing")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = options.results / "quick" if options.quick else options.results
    if options.benchmark == "gpu":
        return run_gpu(options, folder / "gpu")
    settings = Settings(options.data, options.quick, options.sets)
    usual = [name for name in BENCHMARKS if name != "compiled"]  # which takes long
    for name, run in BENCHMARKS.items():
        if name in (usual if options.benchmark == "all" else [options.benchmark]):
            start = time.perf_counter()
            for content in run(settings):
                path = save(name, content, folder)
            print(f"{path} after {time.perf_counter() - start:.0f} s")
    if options.benchmark in ("report", "all"):
        for path in write_report(folder):
            print(path)
    return None


if __name__ == "__main__":
    main()
