"""The protocols by which Ying et al. 2018 and Errica et al. 2020 measured accuracy."""

from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.reproduce import published
from benchmarks.reproduce.networks import METHODS
from benchmarks.reproduce.sets import NestedClusters, fair_fold, load_graphs, paper_fold
from benchmarks.reproduce.settings import FAIR_GRID, PAPER, Training
from benchmarks.reproduce.table import Record, Records, Table, in_percent
from benchmarks.reproduce.training import TableData, train

REPEATS = 3


class AccuracyTable(Table):
    METRIC = "accuracy, %"
    METHODS = METHODS
    FOLDS = range(10)

    def load(self, name: str, method: str, settings: Any) -> TableData:
        """The graphs, with the clusters of DiffPool-Det for it alone."""
        own = settings[0] if isinstance(settings, tuple) else settings
        cut = NestedClusters(own.clusters) if method == "DiffPool-Det" else None
        return TableData(load_graphs(name, self.options.data), own.batch_size, cut)


class Paper(AccuracyTable):
    """Ten folds, validation accuracy, the best epoch of the mean."""

    NAME = "paper"
    SETTINGS = PAPER
    ROWS = (
        *("GraphSAGE", "Set2Set", "SortPool"),
        *("DiffPool-Det", "DiffPool-NoLP", "DiffPool"),
    )
    PUBLISHED = published.PAPER
    PROTOCOL = (
        "Ten stratified folds, nine tenths train and one tenth validates; the largest "
        "mean over the folds of the validation accuracy after any one epoch, in "
        "percent, as in Ying et al. 2018. The epoch is chosen on the graphs that are "
        "reported, so this is no estimate of accuracy on new graphs."
    )

    def run_fold(
        self, data: TableData, name: str, method: str, fold: int, settings: Training
    ) -> Record:
        """One training: its curve in numbers of graphs."""
        data.split = paper_fold(name, data.classes(), fold)
        curves, graphs = train(data, method, settings, seed=fold), data.sizes()
        return {
            "graphs": graphs,
            "seconds": curves.seconds,
            "loss": curves.loss[-1],
            "train": curves.right("train", graphs["train"])[-1],
            "val": curves.right("val", graphs["val"]),
        }

    def summary(self, method: str, there: Records) -> dict[str, Any]:
        """By the epoch that is best in the mean."""
        records = there[method].values()
        shares = [[n / r["graphs"]["val"] for n in r["val"]] for r in records]
        curves = torch.tensor(shares, dtype=torch.double).round(decimals=6)
        best = int(curves.mean(0).argmax())
        return {**in_percent(curves[:, best].tolist()), "epoch": best + 1}


class Fair(AccuracyTable):
    """Chosen apart from what is reported."""

    NAME = "fair"
    SETTINGS = FAIR_GRID
    ROWS = ("DiffPool", "DeepSets")
    PUBLISHED = published.FAIR
    PROTOCOL = (
        "The ten published folds of Errica et al. 2020. In each, the settings with the "
        "best accuracy on the inner validation part are trained three times; of each "
        "training the epoch with the best validation accuracy is tested (the first of "
        "several). Mean and deviation over the folds of the mean of three test "
        "accuracies, in percent; 'at the end' has those after the last epoch, of the "
        "same trainings. The figures beside DeepSets are of their structure-free "
        "networks."
    )

    def run_fold(
        self,
        data: TableData,
        name: str,
        method: str,
        fold: int,
        settings: Sequence[Training],
    ) -> Record:
        """Choose on the validation part, then train three times and test."""
        split = fair_fold(self.options.splits, name, len(data.targets), fold)
        data.split = {part: split[part] for part in ("train", "val")}
        graphs = {part: len(members) for part, members in split.items()}
        tried = [train(data, method, own, fold) for own in settings]
        most = [max(curves.right("val", graphs["val"])) for curves in tried]
        data.split, own = split, settings[most.index(max(most))]
        seeds = [1000 * (repeat + 1) + fold for repeat in range(REPEATS)]
        final = [train(data, method, own, seed) for seed in seeds]
        return {
            "graphs": graphs,
            "tried": most,
            "seconds": round(sum(run.seconds for run in (*tried, *final)), 1),
            "final": [
                {part: run.right(part, graphs[part]) for part in ("val", "test")}
                for run in final
            ],
        }

    def summary(self, method: str, there: Records) -> dict[str, Any]:
        """By the best epoch, and by the last where it is recorded."""
        records = there[method].values()
        known = all(len(run["val"]) > 1 for r in records for run in r["final"])
        ends = in_percent([_tested(record, last=True) for record in records])
        tests = in_percent([_tested(record, last=False) for record in records])
        return {**tests, "end": ends if known else None}


def _tested(record: Record, last: bool) -> float:
    """The mean of the test accuracies of all trainings of a fold."""
    best = [run["val"].index(max(run["val"])) for run in record["final"]]
    at = [-1] * REPEATS if last else best
    runs = zip(record["final"], at, strict=True)
    right: int = sum(run["test"][epoch] for run, epoch in runs)
    return right / float(REPEATS * record["graphs"]["test"])
