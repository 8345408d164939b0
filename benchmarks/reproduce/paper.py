"""The paper's protocol: ten folds, validation accuracy, the best epoch of the mean."""

from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]

from benchmarks.reproduce import published
from benchmarks.reproduce.folds import paper_fold
from benchmarks.reproduce.graph_store import GraphStore
from benchmarks.reproduce.networks import Shape, make_network
from benchmarks.reproduce.networks.build import NEEDS_CLUSTERS
from benchmarks.reproduce.records import (
    in_percent,
    read_all,
    record_path,
    seconds_per_epoch,
    write_record,
)
from benchmarks.reproduce.request import Request
from benchmarks.reproduce.sets import load_store, standardized
from benchmarks.reproduce.settings import PAPER, Training, training_for
from benchmarks.reproduce.training import train

METHODS = (
    "GraphSAGE",
    "Set2Set",
    "SortPool",
    "DiffPool-Det",
    "DiffPool-NoLP",
    "DiffPool",
    "S2V",
)
"""The rows of the publication."""

PROTOCOL = (
    "Ten stratified folds, nine tenths train and one tenth validates; the largest "
    "mean over the folds of the validation accuracy after any one epoch, in percent, "
    "as in Ying et al. 2018. The epoch is chosen on the graphs that are reported, so "
    "this is no estimate of accuracy on new graphs."
)


def settings_of(name: str, request: Request) -> Training:
    """How the set is trained."""
    training: Training = training_for(name, PAPER)
    return request.changed(training)


def run_set(name: str, request: Request) -> None:
    """Train the folds of a set that have no record yet."""
    training = settings_of(name, request)
    todo = request.open_folds(name, training.describe())
    if not todo:
        return
    given = any(method in NEEDS_CLUSTERS for method, _ in todo)
    store = load_store(name, request.data, training.clusters if given else ())
    with tqdm(total=len(todo) * training.epochs, unit="epoch") as bar:
        for method, fold in todo:
            bar.set_description(f"{name} {method} fold {fold}")
            record = run_fold(store, method, fold, training, bar)
            write_record(record_path(request.results, name, method, fold), record)
            best, end = max(record["val"]), sum(record["val"][-10:]) / 10
            bar.write(f"{name} {method} fold {fold}: best {best:.3f}, end {end:.3f}")


def run_fold(
    store: GraphStore, method: str, fold: int, training: Training, bar: Any = None
) -> dict[str, Any]:
    """One training, as it is kept."""
    split = paper_fold(store.y, fold)
    ready = standardized(store, split.train)
    network = make_network(method, Shape.of(ready, training), seed=fold)
    step = (lambda: None) if bar is None else bar.update
    curves = train(
        network, ready, split.train, {"val": split.val}, training, fold, step
    )
    return {
        "method": method,
        "fold": fold,
        "settings": training.describe(),
        "graphs": {"train": split.train.numel(), "val": split.val.numel()},
        "largest_graph": int(store.sizes.max()),
        "parameters": sum(p.numel() for p in network.parameters()),
        "seconds": curves.seconds,
        "loss": curves.loss,
        "train": curves.train,
        "val": [round(value, 6) for value in curves.parts["val"]],
    }


def summarise(request: Request) -> dict[str, Any]:
    """A row for each method on each set.

    Raises:
        MissingFoldsError: If a fold is missing.
    """
    rows = []
    for name, method in request.rows():
        settings = settings_of(name, request).describe()
        records = read_all(request.results, name, method, settings)
        paper = published.PAPER.get(method, {}).get(name)
        row = {"dataset": name, "method": method, "published": paper}
        rows.append({**row, **summary(records)})
    return {
        "table": "paper",
        "metric": "accuracy, %",
        "protocol": PROTOCOL,
        "rows": rows,
    }


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of the protocol over all folds."""
    curves = torch.tensor([record["val"] for record in records], dtype=torch.double)
    mean: Tensor = curves.mean(0)
    best = int(mean.argmax())
    return {
        **in_percent(curves[:, best].tolist()),
        "epoch": best + 1,
        "last": round(100 * float(mean[-1]), 2),
        "graphs": sum(records[0]["graphs"].values()),
        "parameters": records[0]["parameters"],
        "seconds_per_epoch": seconds_per_epoch(records),
        "commits": sorted({record["run"]["commit"] or "" for record in records}),
    }
