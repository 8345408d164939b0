"""Curves of growth, and the grid."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.report import style

Result = dict[str, Any]


def growth_one_graph(result: Result) -> Figure:
    """One graph of more and more edges."""
    title = "One graph of degree 10, K = C = 64, forward + backward"
    return _growth(result, "one_graph", title)


def growth_batches(result: Result) -> Figure:
    """Mini-batches of more and more graphs."""
    title = "Mini-batches of PythonFunctions, K = 16, C = 64, forward + backward"
    return _growth(result, "batches", title)


def grid(result: Result) -> Figure:
    """Ratio to PyG over the grid, sorted."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    ratios = sorted(point["ratio"] for point in result["points"])
    share = [(i + 0.5) / len(ratios) for i in range(len(ratios))]
    axes.plot(share, ratios, color=style.BLUE)
    axes.axhline(1, color=style.BLACK, linewidth=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(2, subs=(1.0, 1.5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("share of the points of the grid")
    axes.set_ylabel("times faster than PyG")
    axes.set_title(
        f"dense_diff_pool on PyG's micro-benchmark grid\n{style.caption(result)}",
        fontsize=10,
    )
    style.tidy(axes)
    return figure


FIGURES: dict[str, Sequence[Callable[[Result], Figure]]] = {
    "growth": (growth_one_graph, growth_batches),
    "grid": (grid,),
}


def _growth(result: Result, key: str, title: str) -> Figure:
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    curve = result[key]
    names = list(dict.fromkeys(point["method"] for point in curve["points"]))
    for name in names:
        points = [p for p in curve["points"] if p["method"] == name and p["time"]]
        slope = curve["exponents"].get(name, {}).get("time")
        suffix = "" if slope is None else f" (time: exponent {slope:.2f})"
        times = [p["time"]["median"] for p in points]
        _line(left, name, points, times, style.label(name) + suffix)
        if name != "floor":
            peaks = [max(p["peak_bytes"] / 2**20, 0.1) for p in points]
            _line(right, name, points, peaks, None)
    left.set_ylabel("seconds")
    right.set_ylabel("peak MiB above the inputs")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="edges + nodes")
        axes.xaxis.set_minor_formatter(NullFormatter())
        style.tidy(axes)
    figure.suptitle(f"{title}\n{style.caption(result)}", fontsize=10)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _line(
    axes: Axes,
    name: str,
    points: Sequence[Result],
    values: Sequence[float],
    label: str | None,
) -> None:
    axes.plot(
        [point["edges"] + point["nodes"] for point in points],
        values,
        color=style.COLOURS[name],
        marker=style.MARKERS[name],
        linestyle="--" if name == "floor" else "-",
        markersize=5,
        label=label,
    )
