"""The table beside the published figures, as text and picture."""

import importlib
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.reproduce.table import Table

Row = dict[str, Any]


def write_report(table: Table, rows: list[Row], base: Path) -> None:
    """Write `BASE.md` and `BASE.png`, and print the table."""
    text, picture = base.with_suffix(".md"), base.with_suffix(".png")
    text.write_text(as_text(table, rows))
    draw(rows, table.METRIC, picture)
    print(text.read_text(), text, picture, sep="\n")


def as_text(table: Table, rows: list[Row]) -> str:
    """Markdown: the protocol, then a line for each set and method."""
    end = ["at the end"] if any(row.get("end") for row in rows) else []
    names = ["set", "method", "ours", *end, *table.EXTRA, "published", "graphs"]
    lines = [table.PROTOCOL, "", _line(names), "|---" * len(names) + "|"]
    for row in rows:
        ends = [_ours(row["end"]) for _ in end]
        extra = [row[name] for name in table.EXTRA]
        figures = [_ours(row), *ends, *extra, _published(row["published"])]
        lines.append(
            _line([row["dataset"], row["method"], *figures, f"{row['graphs']:,}"])
        )
    absent = table.absent.items()
    return "\n".join(
        [*lines, "", *(f"{n} could not be had. {why}\n" for n, why in absent), ""]
    )


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ours(folds: Row | None) -> str:
    if folds is None:
        return ""
    several = len(folds["folds"]) > 1
    spread = f" ± {folds['deviation']:.2f}" if several else ""
    return f"{folds['accuracy']:.2f}{spread}"


def _published(figure: Any) -> str:
    if figure is None or isinstance(figure, float):
        return "" if figure is None else f"{figure:.2f}"
    mean, deviation = figure
    return f"{mean:.1f}" + ("" if deviation is None else f" ± {deviation:.1f}")


def draw(rows: list[Row], metric: str, path: Path) -> None:
    """A panel for each set: folds as dots, their mean and the published figure."""
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    sets = list(dict.fromkeys(row["dataset"] for row in rows))
    panels = [[row for row in rows if row["dataset"] == name] for name in sets]
    figure, axes = pyplot.subplots(
        len(panels),
        figsize=(7, 0.3 * len(rows) + 0.8 * len(panels) + 0.5),
        height_ratios=[len(panel) + 0.5 for panel in panels],
        squeeze=False,
        layout="constrained",
    )
    entries: dict[str, Any] = {}
    for name, panel, axis in zip(sets, panels, axes[:, 0], strict=True):
        _draw_panel(axis, panel)
        axis.set_title(name, fontsize=10, loc="left")
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    axes[-1, 0].set_xlabel(metric)
    legend = {"loc": "outside lower center", "ncols": len(entries), "frameon": False}
    figure.legend(entries.values(), entries.keys(), **legend)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    Image.open(path).quantize(64).save(path, optimize=True)  # half the bytes


def _draw_panel(axis: Any, rows: list[Row]) -> None:
    for position, row in enumerate(rows):
        runs, figure = row["folds"], row["published"]
        dots = {"color": "#0072b2", "alpha": 0.5, "label": "fold or seed"}
        axis.plot(runs, [position] * len(runs), "o", markersize=4, **dots)
        ends = (position - 0.35, position + 0.35)
        axis.vlines(row["accuracy"], *ends, color="#0072b2", label="mean")
        if figure is not None:
            level = figure if isinstance(figure, float) else figure[0]
            look = {"color": "#d55e00", "linestyle": "--", "label": "published"}
            axis.vlines(level, *ends, **look)
    axis.set_yticks(range(len(rows)), [row["method"] for row in rows], fontsize=8)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(axis="x", color="#dddddd", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
