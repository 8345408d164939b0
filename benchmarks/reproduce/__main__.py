"""The command line: `python -m benchmarks.reproduce TABLE`."""

import argparse
import ast
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.reproduce.accuracy import Fair, Paper
from benchmarks.reproduce.code2 import Code2
from benchmarks.reproduce.hierarchy import Hierarchy
from benchmarks.reproduce.networks import METHODS
from benchmarks.reproduce.pace import run_pace
from benchmarks.reproduce.partitions import Partitions
from benchmarks.reproduce.report import write_report
from benchmarks.reproduce.table import MissingFoldsError
from benchmarks.results import FOLDER
from pyg_diffpool._extras import MissingExtraError

TABLES = {table.NAME: table for table in (Paper, Fair, Code2, Hierarchy, Partitions)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the folds that have no record, then make the table."""
    options = _parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    if options.table == "pace":
        return run_pace(options)
    table = TABLES[options.table](options)
    if options.methods == ["all"]:
        options.methods = list(table.METHODS)
    if not set(options.methods or ()) <= set(table.METHODS):
        known = ", ".join(table.METHODS)
        sys.exit(f"Expected '--methods' of {known} (got {options.methods}).")
    try:
        if not options.report:
            table.run()
        rows = table.rows()
        if not rows:
            raise MissingFoldsError(
                f"Expected folds of any of {', '.join(table.sets)} in "
                f"{table.path} (got none). Run the table without '--report', "
                "with the sets in '--data DIR'."
            )
        write_report(table, rows, options.results / table.NAME)
    except (MissingFoldsError, MissingExtraError, OSError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.reproduce")
    parser.add_argument("table", choices=(*TABLES, "pace"))
    add: Any = parser.add_argument
    names = {"type": _names, "metavar": "A,B"}
    some = f"of {', '.join(METHODS)}, or all (default: the rows of the publication)"
    add("--sets", **names, help="data sets (default: all)")
    add("--methods", **names, help=some)
    folds = "folds to run here, or seeds of code2; the table needs all (default: all)"
    add("--folds", type=_folds, metavar="0,1", help=folds)
    add("--data", type=Path, metavar="DIR", help="NAME/raw of each set lies here")
    add("--splits", type=Path, metavar="DIR", help="published folds of 'fair'")
    add("--results", type=Path, default=FOLDER / "reproduce", metavar="DIR")
    add("--threads", type=int, default=1, help="(default: 1)")
    other = "other settings than the set's, for a trial; use another --results"
    example = "hidden=128;epochs=50"
    change = {"dest": "changes", "type": _changes, "default": {}, "metavar": example}
    add("--with", **change, help=other)
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
