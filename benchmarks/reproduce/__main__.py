"""The command line: `python -m benchmarks.reproduce {paper,fair,code2}`."""

import argparse
import ast
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from benchmarks.reproduce import code2, fair, paper
from benchmarks.reproduce.networks import METHODS
from benchmarks.reproduce.records import MissingFoldsError
from benchmarks.reproduce.report import write_report
from benchmarks.reproduce.request import Request
from benchmarks.reproduce.sets import AbsentSetError
from benchmarks.reproduce.settings import FAIR_GRID, PAPER, WORDS
from benchmarks.results import FOLDER
from pyg_diffpool._extras import MissingExtraError

TABLES: dict[str, ModuleType] = {"paper": paper, "fair": fair, "code2": code2}
SETS = {"paper": tuple(PAPER), "fair": tuple(FAIR_GRID), "code2": tuple(WORDS)}
ROWS = {
    "paper": paper.METHODS,
    "fair": ("DiffPool", "DeepSets"),
    "code2": code2.METHODS,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the folds that have no record, then make the table."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    folder = options.results / options.table
    sets = options.sets or SETS[options.table]
    methods = options.methods or ROWS[options.table]
    known = code2.METHODS if options.table == "code2" else tuple(METHODS)
    methods = list(known) if methods == ["all"] else methods
    if not set(methods) <= set(known):
        sys.exit(f"Expected '--methods' of {', '.join(known)} (got {methods}).")
    folds = options.folds or range(3 if options.table == "code2" else 10)
    if options.report and not options.methods:
        methods = list(known)
    request = Request(
        options.data,
        options.splits,
        folder,
        sets,
        methods,
        folds,
        options.changes,
        recorded_only=options.report and not options.methods,
    )
    try:
        absent = {} if options.report else run(TABLES[options.table], request)
        request = replace(request, sets=[n for n in request.sets if n not in absent])
        content = TABLES[options.table].summarise(request)
        if not content["rows"]:
            raise MissingFoldsError(
                f"Expected folds of any of {', '.join(sets)} in {folder} (got none). "
                "Run the table without '--report', with the sets in '--data DIR'."
            )
        for path in write_report({**content, "absent": absent}, folder):
            print(path)
    except (MissingFoldsError, MissingExtraError, OSError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def run(table: ModuleType, request: Request) -> dict[str, str]:
    """Run every set; what could not be had is named and left out of the table."""
    absent = {}
    for name in request.sets:
        try:
            table.run_set(name, request)
        except AbsentSetError as error:  # noqa: PERF203
            absent[name] = str(error)
            print(f"{name} is left out: {error}", file=sys.stderr)
    return absent


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.reproduce")
    parser.add_argument("table", choices=TABLES)
    add = parser.add_argument
    add("--sets", type=_names, metavar="A,B", help="data sets (default: all)")
    add(
        "--methods",
        type=_names,
        metavar="A,B",
        help=f"of {', '.join(METHODS)}, or all (default: the rows of the publication)",
    )
    add(
        "--folds",
        type=_folds,
        metavar="0,1",
        help="folds to run here; the table needs all ten (default: all). For code2 "
        "seeds (default: 0,1,2)",
    )
    add("--data", type=Path, metavar="DIR", help="NAME/raw of each set lies here")
    add("--splits", type=Path, metavar="DIR", help="published folds of 'fair'")
    add("--results", type=Path, default=FOLDER / "reproduce", metavar="DIR")
    add("--threads", type=int, default=1, help="(default: 1)")
    add(
        "--with",
        dest="changes",
        type=_changes,
        default={},
        metavar="hidden=128;epochs=50",
        help="other settings than the set's, for a trial; use another --results",
    )
    add("--report", action="store_true", help="only the table of what there is")
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _changes(text: str) -> dict[str, Any]:
    pairs = (part.split("=", 1) for part in text.split(";"))
    return {name.strip(): ast.literal_eval(value) for name, value in pairs}


def _folds(text: str) -> list[int]:
    folds = [int(part) for part in text.split(",")]
    if not set(folds) <= set(range(10)):
        raise argparse.ArgumentTypeError(f"expected folds from 0 to 9 (got {text})")
    return folds


if __name__ == "__main__":
    main()
