"""Seconds an epoch of training by this package and by PyG's padded `dense_diff_pool`.

The settings are those of the tables, the graphs the same, and both run in turns.
"""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.report import table
from benchmarks.reproduce.sets import load_graphs, paper_fold
from benchmarks.reproduce.settings import FAIR_GRID, PAPER, describe
from benchmarks.reproduce.training import TableData, train
from benchmarks.results import Result, save
from benchmarks.timing import Budget, interleave

METHODS = ("DiffPool", "PyG dense_diff_pool")
SETS = ("ENZYMES", "PROTEINS", "NCI1", "IMDB-BINARY", "COLLAB", "DD")
ROUNDS = 5


def run_pace(options: Namespace) -> None:
    rows = [measure(name, options.data) for name in options.sets or SETS]
    path = save("pace", {"rows": rows}, options.results)
    path.with_suffix(".md").write_text(as_text(rows) + "\n")
    print(as_text(rows))


def measure(name: str, root: Path | None) -> Result:
    """Seconds of a first epoch of each method on the training graphs of fold 0."""
    settings = PAPER[name] if name in PAPER else FAIR_GRID[name][0]
    data = TableData(load_graphs(name, root), settings.batch_size)
    data.split = {"train": paper_fold(name, data.classes(), 0)["train"]}
    once = replace(settings, epochs=1)
    calls = {method: partial(train, data, method, once, seed=0) for method in METHODS}

    def epoch(call: Any) -> float:
        return float(call().seconds)

    return {
        "dataset": name,
        "graphs": len(data.split["train"]),
        "settings": describe(settings),
        "seconds": interleave(calls, Budget(0.0, at_least=ROUNDS), epoch),
    }


def as_text(rows: Sequence[Result]) -> str:
    lines = []
    for row in rows:
        ours, dense = (row["seconds"][method]["median"] for method in METHODS)
        figures = f"{ours:.2f}", f"{dense:.2f}", f"{dense / ours:.1f}"
        batch = row["settings"]["batch_size"]
        lines.append([row["dataset"], f"{row['graphs']:,}", batch, *figures])
    return table(["set", "graphs", "batch", "ours, s", "PyG padded, s", "ratio"], lines)
