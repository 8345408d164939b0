"""The picture of where pooling pays: `python -m benchmarks.reproduce.when`.

Of the records of the tables `hierarchy` and `partitions`.
"""

from argparse import Namespace
from pathlib import Path
from statistics import mean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.pictures import BLACK, BLUE, GREEN, ORANGE, PURPLE, save_picture, tidy
from benchmarks.reproduce.hierarchy import FLAT, Hierarchy, accuracy, best_flat
from benchmarks.reproduce.partitions import SPECTRAL, Partitions
from benchmarks.reproduce.planted import COMMUNITIES, PARTITIONS, POSITIONED
from benchmarks.reproduce.table import Record, Table
from benchmarks.results import FOLDER

LEARNED, GIVEN = "DiffPool by positions", "DiffPool-Det"
LINES = {
    "DiffPool normalize=False": ("DiffPool, normalize=False", BLUE, "o"),
    "DiffPool": ("DiffPool, link loss per pair", BLUE, "x"),
    "PyG MinCut": ("PyG MinCut", ORANGE, "s"),
    "PyG DMoN": ("PyG DMoN", GREEN, "v"),
    SPECTRAL: ("spectral clustering", BLACK, ""),
}


def draw(folder: Path) -> Figure:
    """Accuracy where groups are to be counted, and planted blocks found again."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_communities(left, _open(Hierarchy, folder))
    _draw_blocks(right, _open(Partitions, folder))
    return figure


def _open(table: type[Table], folder: Path) -> Any:
    return table(Namespace(results=folder, sets=None, changes={}))


def _draw_communities(axes: Axes, table: Hierarchy) -> None:
    there = table.read(POSITIONED)
    rows = {
        "best flat network": there[best_flat(there) or next(iter(FLAT))],
        "DiffPool,\nlearned clusters": there[LEARNED],
        "DiffPool,\ngiven clusters": table.read(COMMUNITIES)[GIVEN],
    }
    for at, (records, color) in enumerate(
        zip(rows.values(), (PURPLE, BLUE, BLACK), strict=True)
    ):
        shares = _test_accuracies(records)
        axes.barh(at, mean(shares), 0.6, color=color, alpha=0.5)
        axes.plot(shares, [at] * len(shares), "o", markersize=4, color=color)
    axes.set_yticks(range(len(rows)), [*rows])
    axes.invert_yaxis()
    axes.set_xlim(50, 100)
    axes.set_xlabel("test accuracy, %, of each seed; chance is 50")
    axes.set_title("The label counts groups of nodes", fontsize=10)
    tidy(axes, "x")


def _test_accuracies(records: dict[int, Record]) -> list[float]:
    return [100 * accuracy(record, "test") for record in records.values()]


def _draw_blocks(axes: Axes, table: Partitions) -> None:
    for method, (label, color, marker) in LINES.items():
        found = [table.read(name)[method].values() for name in PARTITIONS]
        scores = [100 * mean(r["nmi"][0] for r in records) for records in found]
        dashes = ":" if method in ("DiffPool", SPECTRAL) else "-"
        axes.plot(
            [*PARTITIONS], scores, dashes, marker=marker, color=color, label=label
        )
    axes.set_ylabel("normalised mutual information, %")
    axes.set_title("Planted blocks, found without labels", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    tidy(axes, "y")


if __name__ == "__main__":
    folder = FOLDER / "reproduce"
    save_picture(draw(folder), folder / "when.png")
