"""The table beside the published figures, as text, JSON and picture."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import save


def write_report(content: dict[str, Any], folder: Path) -> list[Path]:
    """Write `TABLE.json`, `TABLE.md` and `TABLE.png` and print the table."""
    path = save(content["table"], content, folder)
    table = as_text(content)
    text, picture = path.with_suffix(".md"), path.with_suffix(".png")
    text.write_text(table)
    print(table)
    draw(content["rows"], content["metric"], picture)
    return [path, text, picture]


def as_text(content: dict[str, Any]) -> str:
    """Markdown: the protocol, then a line for each set and method."""
    rows = content["rows"]
    end = ["at the end"] if any(row.get("end") for row in rows) else []
    names = ["set", "method", "ours", *end, "published", "graphs"]
    lines = [content["protocol"], "", _line(names), "|---" * len(names) + "|"]
    for row in rows:
        ends = [_ours(row["end"]) for _ in end]
        figures = [_ours(row), *ends, _published(row)]
        lines.append(
            _line([row["dataset"], row["method"], *figures, f"{row['graphs']:,}"])
        )
    absent = content.get("absent", {})
    lines += ["", *(f"{name} could not be had. {why}" for name, why in absent.items())]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ours(folds: dict[str, Any] | None) -> str:
    if folds is None:
        return ""
    several = len(folds["folds"]) > 1
    spread = f" ± {folds['deviation']:.2f}" if several else ""
    return f"{folds['accuracy']:.2f}{spread}"


def _published(row: dict[str, Any]) -> str:
    figure = row["published"]
    if figure is None:
        return ""
    if isinstance(figure, float):
        return f"{figure:.2f}"
    mean, deviation = figure
    return f"{mean:.1f}" + ("" if deviation is None else f" ± {deviation:.1f}")


def draw(rows: list[dict[str, Any]], metric: str, path: Path) -> None:
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
    for name, panel, axis in zip(sets, panels, axes[:, 0], strict=True):
        _draw_panel(axis, panel)
        axis.set_title(name, fontsize=10, loc="left")
    axes[-1, 0].set_xlabel(metric)
    entries: dict[str, Any] = {}
    for axis in axes[:, 0]:
        handles, names = axis.get_legend_handles_labels()
        entries |= dict(zip(names, handles, strict=True))
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=len(entries),
        frameon=False,
    )
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _draw_panel(axis: Any, rows: list[dict[str, Any]]) -> None:
    for position, row in enumerate(rows):
        runs = row["folds"]
        dots = {"color": "#0072b2", "alpha": 0.5, "label": "fold or seed"}
        axis.plot(runs, [position] * len(runs), "o", markersize=4, **dots)
        ends = (position - 0.35, position + 0.35)
        axis.vlines(row["accuracy"], *ends, color="#0072b2", label="mean")
        figure = row["published"]
        if figure is not None:
            level = figure if isinstance(figure, float) else figure[0]
            look = {"color": "#d55e00", "linestyle": "--", "label": "published"}
            axis.vlines(level, *ends, **look)
    axis.set_yticks(range(len(rows)), [row["method"] for row in rows], fontsize=8)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(axis="x", color="#dddddd", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
