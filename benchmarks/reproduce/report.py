"""The table beside the published figures, as text, JSON and picture."""

import importlib
import json
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_run
from benchmarks.reproduce.published import VERIFIED


def write_report(content: dict[str, Any], folder: Path) -> list[Path]:
    """Write `TABLE.json`, `TABLE.md` and `TABLE.png` and print the table."""
    folder.mkdir(parents=True, exist_ok=True)
    name = content["table"]
    paths = [folder / f"{name}{suffix}" for suffix in (".json", ".md", ".png")]
    text = json.dumps({"run": describe_run(), **content}, indent=1, allow_nan=False)
    paths[0].write_text(text + "\n")
    table = as_text(content)
    paths[1].write_text(table)
    print(table)
    draw(content["rows"], content["metric"], paths[2])
    return paths


def as_text(content: dict[str, Any]) -> str:
    """Markdown: the protocol, then a line for each set and method."""
    lines = [content["protocol"], ""]
    lines.append("| set | method | ours | published | graphs | s/epoch |")
    lines.append("|---|---|---|---|---|---|")
    for row in content["rows"]:
        ours = f"{row['accuracy']:.2f} ± {row['deviation']:.2f}"
        pace = row["seconds_per_epoch"] or ""
        lines.append(
            f"| {row['dataset']} | {row['method']} | {ours} | {_published(row)} | "
            f"{row['graphs']:,} | {pace} |"
        )
    absent = content.get("absent", {})
    lines += ["", *(f"{name} could not be had. {why}" for name, why in absent.items())]
    if any(_published(row).endswith("?") for row in content["rows"]):
        lines += ["", "?: quoted from memory, not checked against the paper."]
    return "\n".join(lines) + "\n"


def _published(row: dict[str, Any]) -> str:
    figure = row["published"]
    if figure is None:
        return ""
    if isinstance(figure, float):
        return f"{figure:.2f}" + ("" if row["method"] in VERIFIED else " ?")
    mean, deviation = figure
    return f"{mean:.1f}" + ("" if deviation is None else f" ± {deviation:.1f}")


def draw(rows: list[dict[str, Any]], metric: str, path: Path) -> None:
    """Accuracy of each fold as a dot, the mean and the published figure as lines."""
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    labels = [f"{row['dataset']}\n{row['method']}" for row in rows]
    width = max(4.0, 1.1 * len(rows) + 1.5)
    figure, axes = pyplot.subplots(figsize=(width, 4), layout="constrained")
    for position, row in enumerate(rows):
        folds = row["folds"]
        axes.plot([position] * len(folds), folds, "o", color="#0072b2", alpha=0.5)
        ends = (position - 0.3, position + 0.3)
        axes.hlines(row["accuracy"], *ends, color="#0072b2", label="mean of folds")
        figure_there = row["published"]
        if figure_there is not None:
            level = figure_there if isinstance(figure_there, float) else figure_there[0]
            axes.hlines(
                level, *ends, color="#d55e00", linestyle="--", label="published"
            )
    axes.set_xticks(range(len(rows)), labels, fontsize=8)
    axes.set_ylabel(metric)
    handles, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    figure.legend(
        unique.values(),
        unique.keys(),
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
