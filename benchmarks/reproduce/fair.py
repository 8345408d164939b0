"""The protocol of Errica et al. 2020: chosen apart from what is reported."""

from collections.abc import Sequence
from typing import Any

import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from benchmarks.reproduce import published
from benchmarks.reproduce.folds import fair_fold
from benchmarks.reproduce.graph_store import GraphStore
from benchmarks.reproduce.networks import Shape, make_network
from benchmarks.reproduce.networks.build import NEEDS_CLUSTERS
from benchmarks.reproduce.records import (
    in_percent,
    read_all,
    record_path,
    write_record,
)
from benchmarks.reproduce.request import Request
from benchmarks.reproduce.sets import load_store, standardized
from benchmarks.reproduce.settings import FAIR_GRID, Training, training_for
from benchmarks.reproduce.training import train
from pyg_diffpool.datasets import Split

REPEATS = 3
PROTOCOL = (
    "The ten published folds of Errica et al. 2020. In each, the settings with the "
    "best accuracy on the inner validation part are trained three times; of each "
    "training the epoch with the best validation accuracy is tested (the first of "
    "several). Mean and deviation over the folds of the mean of three test "
    "accuracies, in percent; 'at the end' has those after the last epoch, of the same "
    "trainings. The figures beside DeepSets are of their structure-free networks."
)


def grid_of(name: str, request: Request) -> tuple[Training, ...]:
    """The settings that are chosen from."""
    grid: tuple[Training, ...] = training_for(name, FAIR_GRID)
    return tuple(map(request.changed, grid))


def run_set(name: str, request: Request) -> None:
    """Train the folds of a set that have no record yet."""
    grid = grid_of(name, request)
    todo = request.open_folds(name, describe(grid))
    if not todo:
        return
    if request.splits is None:
        raise FileNotFoundError(
            "Expected '--splits FOLDER' with the published folds (got none). They are "
            "in data_splits/ of github.com/diningphil/gnn-comparison."
        )
    given = any(method in NEEDS_CLUSTERS for method, _ in todo)
    store = load_store(name, request.data, grid[0].clusters if given else ())
    each = sum(training.epochs for training in grid) + REPEATS * grid[0].epochs
    with tqdm(total=len(todo) * each, unit="epoch") as bar:
        for method, fold in todo:
            bar.set_description(f"{name} {method} fold {fold}")
            split = fair_fold(request.splits, name, len(store), fold)
            record = run_fold(store, split, method, fold, grid, bar)
            write_record(record_path(request.results, name, method, fold), record)
            bar.write(f"{name} {method} fold {fold}: test {record['test_mean']:.3f}")


def run_fold(
    store: GraphStore,
    split: Split,
    method: str,
    fold: int,
    grid: Sequence[Training],
    bar: Any = None,
) -> dict[str, Any]:
    """Choose on the validation part, then train three times and test."""
    step = (lambda: None) if bar is None else bar.update
    ready = standardized(store, split.train)

    def attempt(training: Training, seed: int, test: bool) -> dict[str, Any]:
        parts = {"val": split.val, **({"test": split.test} if test else {})}
        network = make_network(method, Shape.of(ready, training), seed)
        curves = train(network, ready, split.train, parts, training, seed, step)
        val = torch.tensor(curves.parts["val"])
        best = int(val.argmax())
        return {name: curve[best] for name, curve in curves.parts.items()} | {
            "epoch": best + 1,
            "seconds": curves.seconds,
            "curves": curves.parts,  # for other rules than the best epoch's
        }

    tried = [attempt(training, fold, test=False) for training in grid]
    chosen = max(range(len(grid)), key=lambda i: tried[i]["val"])
    seeds = [1000 * (repeat + 1) + fold for repeat in range(REPEATS)]
    final = [attempt(grid[chosen], seed, test=True) for seed in seeds]
    return {
        "method": method,
        "fold": fold,
        "settings": describe(grid),
        "graphs": dict(zip(("train", "val", "test"), split.sizes, strict=True)),
        "tried": tried,
        "chosen": chosen,
        "final": final,
        "test_mean": sum(run["test"] for run in final) / REPEATS,
    }


def describe(grid: Sequence[Training]) -> list[dict[str, Any]]:
    """For JSON."""
    return [training.describe() for training in grid]


def summarise(request: Request) -> dict[str, Any]:
    """A row for each method on each set.

    Raises:
        MissingFoldsError: If a fold is missing.
    """
    rows = []
    for name, method in request.rows():
        settings = describe(grid_of(name, request))
        records = read_all(request.results, name, method, settings)
        ends = [end for end in map(_at_the_end, records) if end is not None]
        rows.append(
            {
                "dataset": name,
                "method": method,
                "published": published.FAIR.get(method, {}).get(name),
                **in_percent([record["test_mean"] for record in records]),
                "end": in_percent(ends) if len(ends) == len(records) else None,
                "graphs": sum(records[0]["graphs"].values()),
                "seconds_per_epoch": _seconds(records),
                "commits": sorted({r["run"]["commit"] or "" for r in records}),
            }
        )
    return {
        "table": "fair",
        "metric": "accuracy, %",
        "protocol": PROTOCOL,
        "rows": rows,
    }


def _at_the_end(record: dict[str, Any]) -> float | None:
    """Test accuracy after the last epoch; `None` where only the best was kept."""
    kept = [run["curves"]["test"][-1] for run in record["final"] if "curves" in run]
    return sum(kept) / REPEATS if len(kept) == REPEATS else None


def _seconds(records: Sequence[dict[str, Any]]) -> float:
    """Of an epoch of the trainings that are tested."""
    spent = sum(run["seconds"] for record in records for run in record["final"])
    epochs = sum(r["settings"][r["chosen"]]["epochs"] for r in records) * REPEATS
    return float(round(spent / epochs, 3))
