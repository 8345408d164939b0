"""Pictures: a colour-blind-safe palette, log scales, a legend below the axes."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from PIL import Image

from benchmarks.results import Result

Bar = tuple[float, float, float]  # median, quartiles
NO_TIME = {"median": math.nan, "q1": math.nan, "q3": math.nan}
BLACK, BLUE, ORANGE, GREEN, PURPLE = "black", "#0072B2", "#E69F00", "#009E73", "#CC79A7"
STYLES = {  # colour, hatch of bars, marker of lines
    "auto": (BLUE, None, "o"),
    "pyg-diffpool": (BLUE, None, "o"),
    "PyG dense_diff_pool": (ORANGE, None, "s"),
    "torch operations": (GREEN, "//", "v"),
    "PyG, padded per batch": (ORANGE, None, "s"),
    "PyG, dense loader": (PURPLE, "..", "^"),
    "tgp diff": (GREEN, "//", "v"),
    "tgp diff_u": (PURPLE, "..", "^"),
    "floor": (BLACK, None, ""),
}
LABELS = {
    "auto": "pyg-diffpool",
    "torch operations": "pyg-diffpool, without Triton",
    "REDDIT-MULTI-12K-GSM1111": "REDDIT-12K\nsubset",
    "PythonFunctions": "Python-\nFunctions",
}


def draw_bars(
    title: str, ylabel: str, value: Callable[[Result, Result], Bar], result: Result
) -> Figure:
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axes, sets, lowest = figure.subplots(), result["datasets"], []
    axes.set_title(f"{title}\n{_caption(result)}", fontsize=10)
    methods = [{m["name"]: m for m in entry["methods"]} for entry in sets]
    names = [name for name in STYLES if name in methods[0]]
    width = 0.84 / len(names)
    for j, name in enumerate(names):
        pairs = zip(sets, methods, strict=True)
        bars = np.array([value(entry, there[name]) for entry, there in pairs])
        median, errors = bars[:, 0], np.abs(bars[:, 1:] - bars[:, :1]).T
        at = np.arange(len(sets)) - 0.42 + (j + 0.5) * width
        colour, hatch, _ = STYLES[name]
        look: Any = {"color": colour, "hatch": hatch, "edgecolor": "white"}
        look |= {"yerr": errors, "error_kw": {"elinewidth": 0.8, "ecolor": "#444444"}}
        axes.bar(at, median, width * 0.92, label=LABELS.get(name, name), **look)
        for x in at[np.isnan(median)]:
            foot: Any = {"transform": axes.get_xaxis_transform(), "ha": "center"}
            axes.text(x, 0.02, " no result", rotation=90, **foot)
        lowest += [*median[~np.isnan(median)]]
    if value is _time and "floor" in sets[0]:
        for i, entry in enumerate(sets):
            label = "_" if i else "floor: unavoidable arithmetic"  # a legend skips _
            lowest.append(1e3 * entry["floor"]["median"])
            axes.hlines(lowest[-1], i - 0.42, i + 0.42, color=BLACK, label=label)
    axes.set(yscale="log", ylabel=ylabel)
    axes.set_ylim(bottom=10 ** math.floor(math.log10(min(lowest) / 1.5)))
    shown = [LABELS.get(entry["dataset"], entry["dataset"]) for entry in sets]
    axes.set_xticks(range(len(sets)), shown)
    axes.set_xlim(-0.6, len(sets) - 0.4)  # also where a method has no result
    tidy(axes)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def _time(entry: Result, method: Result) -> Bar:
    """Milliseconds, of a step where a run has several."""
    scale, time = 1e3 / entry.get("steps", 1), method["time"] or NO_TIME
    return time["median"] * scale, time["q1"] * scale, time["q3"] * scale


def _peak(_: Result, method: Result) -> Bar:
    peak = method["peak_bytes"]
    return (math.nan if peak is None else max(peak / 2**20, 0.1),) * 3


def draw_growth(title: str, key: str, result: Result) -> Figure:
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    points, exponents = result[key]["points"], result[key]["exponents"]
    for name in dict.fromkeys(point["method"] for point in points):
        timed = [p for p in points if p["method"] == name and p["time"]]
        slope = exponents.get(name, {}).get("time")
        suffix = "" if slope is None else f" (time: exponent {slope:.2f})"
        colour, _, marker = STYLES[name]
        look: Any = {"color": colour, "marker": marker, "markersize": 5}
        look["linestyle"] = "-" if marker else "--"
        sizes = [p["edges"] + p["nodes"] for p in timed]
        times = [p["time"]["median"] for p in timed]
        left.plot(sizes, times, label=LABELS.get(name, name) + suffix, **look)
        if name != "floor":
            right.plot(sizes, [_peak({}, p)[0] for p in timed], **look)
    for axes, ylabel in ((left, "seconds"), (right, "peak MiB above the inputs")):
        axes.set(xscale="log", yscale="log", xlabel="edges + nodes", ylabel=ylabel)
        axes.xaxis.set_minor_formatter(NullFormatter())
        tidy(axes)
    figure.suptitle(f"{title}\n{_caption(result)}", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    """Write a PNG of 48 colours, a quarter as large as one of all."""
    figure.set_dpi(110)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    pixels.quantize(48).save(path, optimize=True)


def tidy(axes: Axes, axis: Literal["x", "y"] = "y") -> None:
    """A grid behind the data and no box around it."""
    axes.set_axisbelow(True)
    axes.grid(axis=axis, color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def _caption(result: Result) -> str:
    run, versions = result["run"], result["run"]["versions"]
    threads = f"{run['threads']} thread" + "s" * (run["threads"] > 1)
    torch, pyg = versions["torch"], versions["torch_geometric"]
    return f"{run['machine']['cpu']}, {threads}, torch {torch}, PyG {pyg}"


_TIME, _OF = "Forward + backward", " of the DiffPool operator"
_ONE, _MANY = "One graph of degree 10, K = C = 64", "Mini-batches of PythonFunctions"
_STEP = "Training step, batch of 20"
FIGURES: Mapping[str, Mapping[str, Callable[[Result], Figure]]] = {
    "operator": {
        "operator_time": partial(draw_bars, f"{_TIME}{_OF}", "milliseconds", _time),
        "operator_memory": partial(draw_bars, f"Peak memory{_OF}", "MiB", _peak),
    },
    "training_step": {
        "training_step": partial(draw_bars, _STEP, "milliseconds a step", _time)
    },
    "growth": {
        "growth_one_graph": partial(draw_growth, f"{_ONE}, {_TIME}", "one_graph"),
        "growth_batches": partial(draw_growth, f"{_MANY}, {_TIME}", "batches"),
    },
}
