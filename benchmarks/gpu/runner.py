"""All parts in a process, and every case saved as it ends.

An error is the result of its case. A process that dies, loses its device or takes too
long is followed by another that goes on behind that case. (Few processes, since one may
take ten seconds to load what it needs.)
"""

import warnings
from argparse import Namespace
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.gpu.device import Job, Row, is_lost, reason
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.report import write_report
from benchmarks.isolated import CrashError, Worker
from benchmarks.results import describe_run, load, save

RUNNING = "not finished"


def run_gpu(options: Namespace, folder: Path) -> None:
    """Measure the parts that are asked for, then write tables and picture.

    Parts that are measured again take the place of the older in the card's file.
    """
    job = Job(options.device, options.quick, str(options.data.resolve()))
    end, name = monotonic() + 60 * options.minutes, job.device
    done: dict[str, Row] = {}
    worker: Worker | None = None

    def keep() -> None:
        if done["card"]["status"] != RUNNING:  # its end gives the name
            kept: Row = load(name, folder) or {"parts": {}}
            save(name, {"parts": {**kept["parts"], **done}}, folder)

    for part in PARTS if not options.report else ():
        if options.parts and part not in ("card", *options.parts):
            continue
        run, cases = describe_run(), PARTS[part].cases(job)
        done[part] = record = {"date": run["date"], "commit": run["commit"]}
        record |= {"status": RUNNING, "cases": []}
        limit = min(PARTS[part].seconds, end - monotonic())
        call = partial(measure, part, job)
        worker = run_part(call, cases, limit, record, keep, worker)
        if part == "card":
            name = (*record["cases"], {})[0].get("name", name).replace(" ", "-")
        keep()
        print(f"{part}: {record['status']}", flush=True)
    if worker is not None:
        worker.close()
    for path in sorted(folder.glob("*.json")):
        print(*write_report(path.stem, folder), sep="\n")


def run_part(
    measure: Callable[..., Row],
    cases: Iterable[tuple[Any, ...]],
    seconds: float,
    record: Row,
    keep: Callable[[], None],
    worker: Worker | None = None,
) -> Worker | None:
    """What `measure` gives for each of the cases, until no time is left.

    Status and cases go to `record`; `keep` is called before and after each. Returns the
    process, for the next part, unless it is to be replaced.
    """
    start, status = monotonic(), "ok"
    for given in cases:
        if (left := start + seconds - monotonic()) <= 0:
            status = "no time was left"
            break
        case: Row = {"case": ", ".join(map(str, given)) or "all", "status": RUNNING}
        record["cases"].append(case)
        keep()
        worker, is_late = worker or Worker(), False
        try:
            case |= worker.ask(measure, *given, seconds=left)
        except CrashError as error:
            case["status"] = str(error)
        except TimeoutError:
            case["status"] = status = f"over {seconds:.0f} s"
            is_late = True
        print(f"  {case['case']}: {case['status']}", flush=True)
        keep()
        if is_late or case["status"].startswith("exit") or is_lost(case["status"]):
            worker.close()
            worker = None
        if is_late:
            break
    record |= {"status": status, "seconds": round(monotonic() - start, 1)}
    return worker


def measure(part: str, job: Job, *given: Any) -> Row:
    """A case of a part; of warnings those that say that Triton is not used."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            row = {"status": "ok", **PARTS[part].measure(job, *given)}
        except Exception as error:
            row = {"status": reason(error)}
    texts = dict.fromkeys(str(warning.message) for warning in caught)
    told = [text for text in texts if "triton" in text.lower()]
    return {**row, **({"warnings": told} if told else {})}
