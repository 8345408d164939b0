"""The table beside the published figures, as text and picture."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.pictures import BLUE, ORANGE, save_picture, tidy
from benchmarks.report import table as markdown
from benchmarks.reproduce.table import Table
from benchmarks.results import Result


def write_report(table: Table, rows: list[Result], base: Path) -> None:
    """Write `BASE.md` and `BASE.png`, and print the table."""
    text, picture = base.with_suffix(".md"), base.with_suffix(".png")
    text.write_text(as_text(table, rows))
    draw(rows, table.METRIC, picture)
    print(text.read_text(), text, picture, sep="\n")


def as_text(table: Table, rows: list[Result]) -> str:
    """Markdown: the protocol, then a line for each set and method."""
    end = ["at the end"] if any(row.get("end") for row in rows) else []
    lines = []
    for row in rows:
        figures = [_ours(row), *(_ours(row["end"]) for _ in end)]
        figures += [row[name] for name in table.EXTRA]
        figures += [_published(row["published"]), f"{row['graphs']:,}"]
        lines.append([row["dataset"], row["method"], *figures])
    head = ["set", "method", "ours", *end, *table.EXTRA, "published", "graphs"]
    absent = [f"{name} could not be had. {why}" for name, why in table.absent.items()]
    return "\n\n".join([table.PROTOCOL, markdown(head, lines), *absent]) + "\n"


def _ours(folds: Result | None) -> str:
    if folds is None:
        return ""
    spread = f" ± {folds['deviation']:.2f}" if len(folds["folds"]) > 1 else ""
    return f"{folds['accuracy']:.2f}{spread}"


def _published(figure: Any) -> str:
    if figure is None or isinstance(figure, float):
        return "" if figure is None else f"{figure:.2f}"
    mean, deviation = figure
    return f"{mean:.1f}" + ("" if deviation is None else f" ± {deviation:.1f}")


def draw(rows: list[Result], metric: str, path: Path) -> None:
    """A line for each set and method: folds as dots, mean and published figure."""
    figure = Figure(figsize=(7, 0.22 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    for at, row in enumerate(rows):
        runs, given, ends = row["folds"], row["published"], (at - 0.4, at + 0.4)
        dots: Any = {"color": BLUE, "alpha": 0.5, "label": "fold or seed"}
        axes.plot(runs, [at] * len(runs), "o", markersize=4, **dots)
        axes.vlines(row["accuracy"], *ends, color=BLUE, label="mean")
        if given is not None:
            level = given if isinstance(given, float) else given[0]
            look: Any = {"color": ORANGE, "linestyle": "--", "label": "published"}
            axes.vlines(level, *ends, **look)
    names = [f"{row['dataset']}, {row['method']}" for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(metric)
    tidy(axes, "x")
    handles, labels = axes.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))
    legend: Any = {
        "loc": "outside lower center",
        "ncols": len(entries),
        "frameon": False,
    }
    figure.legend(entries.values(), entries.keys(), **legend)
    save_picture(figure, path)
