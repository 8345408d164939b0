"""Seconds an epoch of training by this package and by PyG's padded `dense_diff_pool`.

The settings are those of the tables, the graphs the same, and both run in turns.
"""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.reproduce.sets import load_graphs, paper_fold
from benchmarks.reproduce.settings import FAIR_GRID, PAPER, describe
from benchmarks.reproduce.training import TableData, train
from benchmarks.results import save

METHODS = ("DiffPool", "PyG dense_diff_pool")
SETS = ("ENZYMES", "PROTEINS", "NCI1", "IMDB-BINARY", "COLLAB", "DD")
ROUNDS = 5


def run_pace(options: Namespace) -> None:
    """Measure, and write the table."""
    rows = [measure(name, options.data) for name in options.sets or SETS]
    path = save("pace", {"rows": rows}, options.results)
    path.with_suffix(".md").write_text(as_text(rows))
    print(as_text(rows))


def measure(name: str, root: Path | None) -> dict[str, Any]:
    """Seconds of a first epoch of each method on the training graphs of fold 0."""
    settings = PAPER[name] if name in PAPER else FAIR_GRID[name][0]
    data = TableData(load_graphs(name, root), settings.batch_size)
    data.split = {"train": paper_fold(name, data.classes(), 0)["train"]}
    once = replace(settings, epochs=1)
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    for turn in range(ROUNDS + 1):
        for method in METHODS[:: 1 if turn % 2 else -1]:
            spent = train(data, method, once, seed=0).seconds
            if turn:  # the first is to warm up
                seconds[method].append(spent)
    return {
        "dataset": name,
        "graphs": len(data.split["train"]),
        "settings": describe(settings),
        "seconds": {method: {"median": median(s)} for method, s in seconds.items()},
    }


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line for each set."""
    lines = ["| set | graphs | batch | ours, s | PyG padded, s | ratio |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        ours, dense = (row["seconds"][method]["median"] for method in METHODS)
        lines.append(
            f"| {row['dataset']} | {row['graphs']:,} | {row['settings']['batch_size']} "
            f"| {ours:.2f} | {dense:.2f} | {dense / ours:.1f} |"
        )
    return "\n".join(lines) + "\n"
