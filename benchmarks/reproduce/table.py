"""What the tables have in common: run the folds that have no record, then join them.

The records of a table are one file, a line for the settings of each set and one for
each fold, appended when it is done. Several processes may append.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Collection, Mapping, Sequence
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any, ClassVar

import torch

from benchmarks.reproduce.sets import AbsentSetError
from benchmarks.reproduce.settings import describe, settings_of
from benchmarks.results import describe_run

Record = dict[str, Any]
Records = dict[str, dict[int, Record]]  # by method and fold


class MissingFoldsError(RuntimeError):
    """Folds that a mean would need have not been run."""


class Table:
    """A protocol: what is trained on each set, and what is reported of all folds.

    `options` are those of the command line. `METHODS` can be run, `ROWS` are those of
    the publication, `FOLDS` what a mean needs.
    """

    NAME: ClassVar[str]
    METRIC: ClassVar[str]
    PROTOCOL: ClassVar[str]
    SETTINGS: ClassVar[Mapping[str, Any]]
    METHODS: ClassVar[Collection[str]]
    ROWS: ClassVar[Sequence[str]]
    FOLDS: ClassVar[Sequence[int]]
    PUBLISHED: ClassVar[Mapping[str, Mapping[str, Any]]]
    load: Callable[..., Any]  # (name, method, settings): the data
    run_fold: Callable[..., Record]  # (data, name, method, fold, settings)
    summary: Callable[..., dict[str, Any]]  # (method, records by method and fold)
    EXTRA: ClassVar[Sequence[str]] = ()  # further columns, texts of the rows
    NEEDS_ALL: ClassVar[bool] = True  # or else a row tells of how many folds it is

    def __init__(self, options: Namespace) -> None:
        self.options = options
        self.path: Path = options.results / f"{self.NAME}.jsonl"
        self.sets = options.sets or list(self.SETTINGS)
        self.absent: dict[str, str] = {}

    def run(self) -> None:
        """Train what has no record; a set that could not be had is named."""
        for name in self.sets:
            try:
                self._run_set(name)
            except AbsentSetError as error:  # noqa: PERF203
                self.absent[name] = str(error)
                print(f"{name} is left out: {error}", file=sys.stderr)

    def _run_set(self, name: str) -> None:
        settings = settings_of(name, self.SETTINGS, self.options.changes)
        for method in self.options.methods or self.ROWS:
            done = self.read(name).get(method, {})
            todo = [f for f in self.options.folds or self.FOLDS if f not in done]
            data = self.load(name, method, settings) if todo else None
            for fold in todo:
                record = self.run_fold(data, name, method, fold, settings)
                self.append({"set": name, "method": method, "fold": fold, **record})
                print(f"{name} {method} fold {fold}: {record['seconds']} s", flush=True)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each method; of a report for each of which there is a fold."""
        rows = []
        for name in (name for name in self.sets if name not in self.absent):
            there, methods = self.read(name), self.options.methods or self.ROWS
            if not self.NEEDS_ALL or (self.options.report and not self.options.methods):
                known = [*self.METHODS, *there]  # also a method that is no more
                methods = [method for method in dict.fromkeys(known) if method in there]
            for method in methods:
                folds = there.get(method, {})
                missing = ",".join(str(f) for f in self.FOLDS if f not in folds)
                if missing and self.NEEDS_ALL:
                    command = f'--sets {name} --methods "{method}" --folds {missing}'
                    raise MissingFoldsError(
                        f"Expected all folds of {method} on {name} (folds {missing} "
                        f"are missing). Run them with '{command}'."
                    )
                figure = self.PUBLISHED.get(method, {}).get(name)
                row = {"dataset": name, "method": method, "published": figure}
                row["graphs"] = sum(next(iter(folds.values()))["graphs"].values())
                rows.append({**row, **self.summary(method, there)})
        return rows

    def read(self, name: str) -> Records:
        """The records of a set by method and fold."""
        settings = describe(settings_of(name, self.SETTINGS, self.options.changes))
        text = self.path.read_text("utf-8") if self.path.exists() else ""
        records: Records = {}
        for record in map(json.loads, text.splitlines()):
            if record["set"] == name and "fold" in record:
                records.setdefault(record["method"], {})[record["fold"]] = record
            elif record["set"] == name and record["settings"] != settings:
                raise ValueError(
                    f"Expected the folds of {name} in {self.path} to be of these "
                    f"settings (got {record['settings']} instead of {settings}). "
                    "Remove them, or give another '--results' folder."
                )
        return {method: dict(sorted(r.items())) for method, r in records.items()}

    def append(self, record: Record) -> None:
        """Add a fold, with a description of the run."""
        name, run = record["set"], describe_run()
        by = f"torch {run['versions']['torch']}, {run['machine']['cpu']}"
        made = f"{run['date'][:10]}, {run['commit']}, {by}, threads: {run['threads']}"
        lines: list[Record] = [{**record, "run": made}]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab", buffering=0) as file:
            flock(file, LOCK_EX)  # nobody reads half a line
            if not self.read(name):
                settings = settings_of(name, self.SETTINGS, self.options.changes)
                lines.insert(0, {"set": name, "settings": describe(settings)})
            each = (
                json.dumps(r, allow_nan=False, separators=(",", ":")) for r in lines
            )
            file.write("".join(f"{line}\n" for line in each).encode())


def in_percent(shares: Sequence[float]) -> dict[str, Any]:
    """Mean, deviation and each of what the folds, or seeds, gave."""
    folds = 100 * torch.tensor(shares, dtype=torch.double)
    return {
        "accuracy": round(float(folds.mean()), 2),
        "deviation": round(float(folds.std(correction=0)), 2),
        "folds": [round(value, 2) for value in folds.tolist()],
    }
