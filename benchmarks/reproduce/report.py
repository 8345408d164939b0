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
    save_picture(draw(rows, table.METRIC), picture)
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


def draw(rows: list[Result], metric: str) -> Figure:
    """A panel for each set: folds as dots, their mean and the published figure."""
    sets, methods = (
        [*dict.fromkeys(r[k] for r in rows)] for k in ("dataset", "method")
    )
    size = 3.4 + 1.4 * len(sets), 0.22 * len(methods) + 1.2
    figure = Figure(size, layout="constrained")
    panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for row in rows:
        axes, at = panels[sets.index(row["dataset"])], methods.index(row["method"])
        runs, given, ends = row["folds"], row["published"], (at - 0.4, at + 0.4)
        dots: Any = {"color": BLUE, "alpha": 0.5, "label": "fold or seed"}
        axes.plot(runs, [at] * len(runs), "o", markersize=4, **dots)
        axes.vlines(row["accuracy"], *ends, color=BLUE, label="mean")
        if given is not None:
            level = given if isinstance(given, float) else given[0]
            look: Any = {"color": ORANGE, "linestyle": "--", "label": "published"}
            axes.vlines(level, *ends, **look)
    labels: dict[str, Any] = {}
    for axes, name in zip(panels, sets, strict=True):
        axes.set_title(name, fontsize=9)
        tidy(axes, "x")
        labels |= {a.get_label(): a for a in (*axes.lines, *axes.collections)}
    panels[0].set_yticks(range(len(methods)), methods, fontsize=8)
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    figure.suptitle(metric, fontsize=10)
    legend: Any = {"loc": "outside lower center", "ncols": 3, "frameon": False}
    figure.legend(labels.values(), labels.keys(), **legend)
    return figure
