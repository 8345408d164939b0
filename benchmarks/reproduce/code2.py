"""Names of functions: F1 on test graphs, the epoch chosen on validation graphs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from tqdm import tqdm  # type: ignore[import-untyped]

from benchmarks.reproduce import published
from benchmarks.reproduce.graph_store import GraphStore
from benchmarks.reproduce.name_data import LOADERS, MAX_WORDS, NameData
from benchmarks.reproduce.names import name_f1
from benchmarks.reproduce.networks.words import WordsDiffPool, WordsFlat
from benchmarks.reproduce.records import (
    in_percent,
    read_all,
    record_path,
    seconds_per_epoch,
    write_record,
)
from benchmarks.reproduce.request import Request
from benchmarks.reproduce.settings import WORDS, WordSettings, training_for
from benchmarks.reproduce.training import train

METHODS = ("DiffPool", "without DiffPool", "most frequent name")
PROTOCOL = (
    "F1 over the words of the name, in percent, on the test graphs after the epoch "
    "with the best F1 on the validation graphs; mean and deviation over seeds. The "
    "published figure was chosen on test data. PythonFunctions is a local stand-in "
    "for ogbg-code2 with other, fewer functions: compare its rows with each other only."
)


def settings_of(name: str, request: Request) -> WordSettings:
    """How the set is trained."""
    settings: WordSettings = training_for(name, WORDS)
    return request.changed(settings)


def run_set(name: str, request: Request) -> None:
    """Train the seeds of a set that have no record yet."""
    settings = settings_of(name, request)
    todo = request.open_folds(name, asdict(settings))
    if not todo:
        return
    data = LOADERS[name](request.data)
    trained = [entry for entry in todo if entry[0] != METHODS[2]]
    with tqdm(total=len(trained) * settings.epochs, unit="epoch") as bar:
        for method, seed in todo:
            bar.set_description(f"{name} {method} seed {seed}")
            record = run_seed(data, method, seed, settings, bar)
            write_record(record_path(request.results, name, method, seed), record)
            bar.write(f"{name} {method} seed {seed}: F1 {record['test']:.4f}")


def run_seed(
    data: NameData, method: str, seed: int, settings: WordSettings, bar: Any = None
) -> dict[str, Any]:
    """One training, as it is kept."""
    record: dict[str, Any] = {
        "method": method,
        "fold": seed,
        "settings": asdict(settings),
        "graphs": dict(zip(("train", "val", "test"), data.split.sizes, strict=True)),
        "vocabulary": len(data.vocabulary),
    }
    if method == METHODS[2]:
        return record | {"test": most_frequent_f1(data), "parameters": 0}
    torch.manual_seed(seed)
    network = make_network(method, data, settings)
    parts = {"val": data.split.val, "test": data.split.test}

    def measure(network: Module, store: GraphStore, graphs: Tensor) -> float:
        return f1(network, store, graphs, data)

    step = (lambda: None) if bar is None else bar.update
    plan, graphs = settings.training(), data.split.train
    curves = train(network, data.store, graphs, parts, plan, seed, step, measure)
    best = int(torch.tensor(curves.parts["val"]).argmax())
    return record | {
        "parameters": sum(p.numel() for p in network.parameters()),
        "seconds": curves.seconds,
        "loss": curves.loss,
        "val": [round(value, 6) for value in curves.parts["val"]],
        "epoch": best + 1,
        "test": curves.parts["test"][best],
    }


def make_network(method: str, data: NameData, settings: WordSettings) -> Module:
    """The network of the method."""
    sizes = {
        "vocabulary_size": len(data.vocabulary),
        "max_words": MAX_WORDS,
        "hidden_channels": settings.hidden,
    }
    if method == METHODS[1]:
        return WordsFlat(data.cardinalities, **sizes)
    return WordsDiffPool(data.cardinalities, num_clusters=settings.clusters, **sizes)


def f1(
    network: Module,
    store: GraphStore,
    graphs: Tensor,  # [B']
    data: NameData,
) -> float:
    """F1 of the most likely words."""
    network.eval()
    with torch.no_grad():
        numbers = [network(b)[0].argmax(-1) for b in store.batches(graphs, 256)]
    names = [data.names[i] for i in graphs.tolist()]
    return name_f1(names, data.vocabulary.decode(torch.cat(numbers)))


def most_frequent_f1(data: NameData) -> float:
    """F1 of the training graphs' most frequent name, said of every test graph."""
    counts = Counter(tuple(data.names[i]) for i in data.split.train.tolist())
    most = max(counts.values())
    name = list(min(words for words, count in counts.items() if count == most))
    names = [data.names[i] for i in data.split.test.tolist()]
    return name_f1(names, [name] * len(names))


def summarise(request: Request) -> dict[str, Any]:
    """A row for each method on each set.

    Raises:
        MissingFoldsError: If a seed is missing.
    """
    rows = []
    for name, method in request.rows():
        settings = asdict(settings_of(name, request))
        records = read_all(request.results, name, method, settings, request.folds)
        rows.append(_row(name, method, records))
    return {"table": "code2", "metric": "F1, %", "protocol": PROTOCOL, "rows": rows}


def _row(name: str, method: str, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    whole = name == "ogbg-code2" and method == METHODS[0]
    return {
        "dataset": name,
        "method": method,
        "published": 100 * published.CODE2_F1 if whole else None,
        **in_percent([record["test"] for record in records]),
        "graphs": sum(records[0]["graphs"].values()),
        "parameters": records[0]["parameters"],
        "seconds_per_epoch": seconds_per_epoch(records),
        "commits": sorted({record["run"]["commit"] or "" for record in records}),
    }
