"""Each part in its own processes, and every case saved as it ends.

An error is the result of its case. A process that dies, or loses its device, is
followed by another that goes on behind the case that it died in.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import Any

from benchmarks.gpu.device import Job, Row, is_lost, reason
from benchmarks.gpu.parts import PARTS, ROOT
from benchmarks.gpu.report import write_report
from benchmarks.results import describe_run, load, save

RUNNING = "not finished"
LOST = 75  # exit status of a process whose device does not answer any more


def run_gpu(options: Namespace, folder: Path) -> None:
    """Measure the parts that are asked for, then write tables and picture.

    Parts that are measured again take the place of the older in the card's file.
    """
    job = Job(options.device, options.quick, str(options.data.resolve()))
    end, name = monotonic() + 60 * options.minutes, job.device
    done: dict[str, Row] = {}

    def keep() -> None:
        if done["card"]["status"] != RUNNING:  # its end gives the name
            kept: Row = load(name, folder) or {"parts": {}}
            save(name, {"parts": {**kept["parts"], **done}}, folder)

    for part in PARTS if not options.report else ():
        if options.parts and part not in ("card", *options.parts):
            continue
        run = describe_run()
        done[part] = record = {"date": run["date"], "commit": run["commit"]}
        record |= {"status": RUNNING, "cases": []}
        limit = min(PARTS[part].seconds, end - monotonic())
        run_part(partial(command, part, job), limit, record, keep)
        if part == "card":
            name = record["cases"][0].get("name", name).replace(" ", "-")
        keep()
        print(f"{part}: {record['status']}", flush=True)
    for path in sorted(folder.glob("*.json")):
        print(*write_report(path.stem, folder), sep="\n")


def command(part: str, job: Job, skip: int) -> list[str]:
    """Of a process that measures the cases of a part, but for the first few."""
    told = json.dumps({"part": part, "skip": skip, **asdict(job)})
    return [sys.executable, "-m", "benchmarks.gpu.runner", told]


def run_part(
    command: Callable[[int], Sequence[str]],
    seconds: float,
    record: Row,
    keep: Callable[[], None],
) -> None:
    """Run `command(number of cases that are done)` until no case is left, or no time.

    Status and cases go to `record`; `keep` is called after each.
    """
    start, cases = monotonic(), record["cases"]
    while True:
        before, left = len(cases), seconds - (monotonic() - start)
        code, why = follow(command(before), left, cases, keep)
        in_a_case = len(cases) > before and cases[-1]["status"] == RUNNING
        if in_a_case:
            cases[-1]["status"] = why
        may_go_on = in_a_case or code == LOST
        if code == 0 or not may_go_on or monotonic() - start >= seconds:
            record["status"] = "ok" if code == 0 else why
            break
    record["seconds"] = round(monotonic() - start, 1)


def follow(
    command: Sequence[str],
    seconds: float,
    cases: list[Row],
    keep: Callable[[], None],
) -> tuple[int, str]:
    """Take up what a process says of its cases; its exit status, and why it ended."""
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    if seconds <= 0:
        return 1, "no time was left"
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        timer = Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
        start = monotonic()
        timer.start()
        try:
            for line in process.stdout:
                if line.endswith("\n"):  # else it was killed within
                    take(json.loads(line), cases)
                    keep()
            code = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        errors.seek(0)
        last = [line for line in errors.read().splitlines() if line.strip()][-3:]
    if monotonic() - start >= seconds:
        return code or 1, f"over {seconds:.0f} s"
    return code, f"exit status {code}: {' / '.join(last)[-500:]}"


def take(said: Row, cases: list[Row]) -> None:
    """The begin of a case, or what it gave."""
    if said["status"] == RUNNING:
        cases.append(said)
    else:
        cases[-1] = said
        print(f"  {said['case']}: {said['status']}", flush=True)


def work(part: str, skip: int, **job: Any) -> None:
    """Measure the cases of a part; what others print goes to the errors."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**row: Any) -> None:
        print(json.dumps(row), file=channel, flush=True)

    where = Job(**job)
    for given in [*PARTS[part].cases(where)][skip:]:
        case = ", ".join(map(str, given)) or part
        say(case=case, status=RUNNING)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                row = {"status": "ok", **PARTS[part].measure(where, *given)}
            except Exception as error:
                row = {"status": reason(error)}
        texts = dict.fromkeys(str(warning.message) for warning in caught)
        told = [text for text in texts if "triton" in text.lower()]  # is not used
        say(case=case, **row, **({"warnings": told} if told else {}))
        if is_lost(row["status"]):
            os._exit(LOST)  # its clean-up might wait for the device


if __name__ == "__main__":
    work(**json.loads(sys.argv[1]))
