"""Training curves from the CSV log of a run."""

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

TRAIN, VAL, THIRD = "#0072B2", "#D55E00", "#4D4D4D"

Curves = dict[str, dict[int, float]]


def read_curves(path: Path) -> Curves:
    """Return for every metric its value after each epoch.

    Args:
        path: ``metrics.csv`` as written by Lightning's `CSVLogger`.

    Raises:
        ValueError: If the file holds no epoch.
    """
    curves: Curves = defaultdict(dict)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("epoch", "step"):
                    curves[name][int(row["epoch"])] = float(value)
    if not curves:
        raise ValueError(
            f"Expected at least one epoch in '{path}' (got none). Train for longer."
        )
    return dict(curves)


def draw_curves(path: Path, majority_accuracy: float | None = None) -> Figure:
    """Draw losses, clusters in use and accuracies over the epochs of a run.

    Args:
        path: ``metrics.csv`` of the run.
        majority_accuracy: Accuracy of always answering the most frequent class,
            drawn as a line.

    Raises:
        ValueError: If the file holds no epoch.
    """
    curves = read_curves(path)
    levels = sorted(name for name in curves if name.startswith("train/perplexity_"))
    figure = Figure(figsize=(13.5 if levels else 10.5, 3.6), layout="constrained")
    axes = list(figure.subplots(1, 4 if levels else 3))
    entropy, auxiliary, accuracy = (*axes[:2], axes[-1])
    _draw(entropy, curves, "cross entropy", _both("cross_entropy"))
    lines = (
        ("train/link_loss", "link prediction", TRAIN, "-"),
        ("train/entropy_loss", "entropy", VAL, "-"),
        ("val/link_loss", "link prediction, validation", TRAIN, ":"),
        ("val/entropy_loss", "entropy, validation", VAL, ":"),
    )
    _draw(auxiliary, curves, "auxiliary losses", lines)
    auxiliary.set_yscale("log")
    if levels:
        _draw(axes[2], curves, "clusters in use (perplexity)", _by_level(len(levels)))
        axes[2].set_ylim(bottom=1)
    _draw(accuracy, curves, "accuracy", _both("accuracy"))
    best = curves.get("val/accuracy")
    if best:
        epoch = max(best, key=lambda e: best[e])
        accuracy.plot(
            epoch, best[epoch], "o", color=VAL, label=f"best: {best[epoch]:.3f}"
        )
    if majority_accuracy is not None:
        accuracy.axhline(
            majority_accuracy, color=THIRD, linestyle="--", label="majority class"
        )
    entropy.set_ylim(bottom=0)
    accuracy.set_ylim(0, 1)
    for axis in axes:
        axis.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.2),
            ncols=2,
            frameon=False,
            fontsize=8,
        )
    return figure


def _both(name: str) -> tuple[tuple[str, str, str, str], ...]:
    return (
        (f"train/{name}", "training", TRAIN, "-"),
        (f"val/{name}", "validation", VAL, "-"),
    )


def _by_level(num_levels: int) -> list[tuple[str, str, str, str]]:
    """Every level in a colour of its own, the validation dotted."""
    colors = (TRAIN, VAL, THIRD)
    return [
        (
            f"{stage}/perplexity_{level}",
            f"level {level}{note}",
            colors[(level - 1) % 3],
            style,
        )
        for stage, note, style in (("train", "", "-"), ("val", ", validation", ":"))
        for level in range(1, num_levels + 1)
    ]


def _draw(
    axis: Axes, curves: Curves, title: str, lines: Iterable[tuple[str, str, str, str]]
) -> None:
    for name, label, color, style in lines:
        values = curves.get(name, {})
        marker = "." if len(values) == 1 else None
        axis.plot(
            list(values),
            list(values.values()),
            color=color,
            linestyle=style,
            marker=marker,
            label=label,
        )
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
