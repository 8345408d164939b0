"""Seconds an epoch: `python -m benchmarks.reproduce.pace`.

Epochs of training by this package and by PyG's `dense_diff_pool` on padded graphs, with
the settings of the tables and the same graphs, in turns.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.reproduce.folds import paper_fold
from benchmarks.reproduce.networks import Shape, make_network
from benchmarks.reproduce.sets import load_store, standardized
from benchmarks.reproduce.settings import FAIR_GRID, PAPER
from benchmarks.reproduce.training import train
from benchmarks.results import FOLDER, save
from benchmarks.timing import Budget, interleave

METHODS = ("DiffPool", "PyG dense_diff_pool")
SETS = ("ENZYMES", "PROTEINS", "NCI1", "IMDB-BINARY", "COLLAB", "DD")
BUDGET = Budget(20.0, at_least=1, at_most=9)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.reproduce.pace")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--data", type=Path, metavar="DIR", help="holds NAME/raw")
    results = FOLDER / "reproduce" / "pace"
    parser.add_argument("--results", type=Path, default=results, metavar="DIR")
    parser.add_argument("--threads", type=int, default=1, help="(default: 1)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    rows = []
    for name in options.sets:
        rows.append(measure(name, options.data))
        print(rows[-1])
    save("pace", {"rows": rows}, options.results)
    text = as_text(rows)
    (options.results / "pace.md").write_text(text)
    print(text)


def measure(name: str, data: Path | None) -> dict[str, Any]:
    """Seconds an epoch of each method on the training graphs of fold 0."""
    settings = PAPER[name] if name in PAPER else FAIR_GRID[name][0]
    once = replace(settings, epochs=1)
    store = load_store(name, data, ())
    graphs = paper_fold(store.y, 0).train
    ready = standardized(store, graphs)
    calls = {}
    for method in METHODS:
        network = make_network(method, Shape.of(ready, once), seed=0)
        calls[method] = partial(train, network, ready, graphs, {}, once, 0)
    samples = interleave(calls, BUDGET)
    seconds = {method: sample.as_dict() for method, sample in samples.items()}
    return {
        "dataset": name,
        "graphs": graphs.numel(),
        "largest_graph": int(store.sizes.max()),
        "settings": settings.describe(),
        "seconds": seconds,
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


if __name__ == "__main__":
    main()
