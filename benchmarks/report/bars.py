"""Bars by data set."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import style

Result = dict[str, Any]
Bar = tuple[float, float, float] | None  # median, quartiles
IMPLEMENTATIONS = ("auto", "PyG dense_diff_pool", "tgp diff", "tgp diff_u")


def operator_time(result: Result) -> Figure:
    """Time of the DiffPool implementations, with the floor."""
    figure, axes = _figure("Forward + backward of the DiffPool operator", result)
    sets = result["datasets"]
    draw_bars(axes, sets, {n: _times(sets, n, 1e3) for n in IMPLEMENTATIONS})
    for i, entry in enumerate(sets):
        name = "_" if i else "floor: unavoidable arithmetic"  # a legend skips _
        level = entry["floor"]["median"] * 1e3
        axes.hlines(level, i - 0.42, i + 0.42, color=style.BLACK, label=name)
    lowest = min(entry["floor"]["median"] for entry in sets) * 1e3
    axes.set_ylim(bottom=min(axes.get_ylim()[0], 0.7 * lowest))
    axes.set_ylabel("milliseconds")
    style.legend_below(figure, axes)
    return figure


def operator_memory(result: Result) -> Figure:
    """Peak memory of the DiffPool implementations."""
    figure, axes = _figure("Peak memory of the DiffPool operator", result)
    sets = result["datasets"]
    series = {name: [_peak(s, name) for s in sets] for name in IMPLEMENTATIONS}
    draw_bars(axes, sets, series)
    axes.set_ylabel("MiB above the inputs")
    style.legend_below(figure, axes)
    return figure


def operator_all(result: Result) -> Figure:
    """Time of all methods, one panel a data set."""
    sets = result["datasets"]
    columns = min(len(sets), 3)
    rows = -(-len(sets) // columns)
    figure = Figure(
        figsize=(1.5 + 3.2 * columns, 0.9 + 3.7 * rows), layout="constrained"
    )
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(sets) :]:
        axes.set_axis_off()
    for axes, entry in zip(grid.flat, sets, strict=False):
        _dots(axes, entry)
    figure.suptitle(
        "Forward + backward of all methods: median and quartiles\n"
        + style.caption(result),
        fontsize=10,
    )
    return figure


def training_step(result: Result) -> Figure:
    """Time of a training step."""
    figure, axes = _figure("Training step of PyG's example model, batch of 20", result)
    sets = result["datasets"]
    names = list(dict.fromkeys(m["name"] for s in sets for m in s["methods"]))
    series = {name: _times(sets, name, 1e3, per_step=True) for name in names}
    draw_bars(axes, sets, series)
    axes.set_ylabel("milliseconds a step")
    style.legend_below(figure, axes)
    return figure


FIGURES: dict[str, Sequence[Callable[[Result], Figure]]] = {
    "operator": (operator_time, operator_memory, operator_all),
    "training_step": (training_step,),
}


def draw_bars(
    axes: Axes, sets: Sequence[Result], series: Mapping[str, Sequence[Bar]]
) -> None:
    """Groups of bars on a log axis."""
    width = 0.84 / len(series)
    for j, (name, bars) in enumerate(series.items()):
        at = [i - 0.42 + (j + 0.5) * width for i in range(len(sets))]
        there = [(x, bar) for x, bar in zip(at, bars, strict=True) if bar]
        axes.bar(
            [x for x, _ in there],
            [bar[0] for _, bar in there],
            width * 0.92,
            yerr=[
                [bar[0] - bar[1] for _, bar in there],
                [bar[2] - bar[0] for _, bar in there],
            ],
            error_kw={"elinewidth": 0.8, "ecolor": "#444444"},
            color=style.COLOURS[name],
            hatch=style.HATCHES.get(name),
            edgecolor="white",
            label=style.label(name),
        )
        place: dict[str, Any] = {
            "rotation": 90,
            "ha": "center",
            "va": "bottom",
            "fontsize": 8,
        }
        foot = axes.get_xaxis_transform()
        for x, bar in zip(at, bars, strict=True):
            if bar is None:
                axes.text(x, 0.02, "no result", transform=foot, **place)
    axes.set_yscale("log")
    axes.set_ylim(bottom=_decade_below(series.values()))
    axes.set_xticks(range(len(sets)), [style.label(s["dataset"]) for s in sets])
    style.tidy(axes)


def _decade_below(series: Iterable[Sequence[Bar]]) -> float:
    lowest = min((bar[0] for bars in series for bar in bars if bar), default=1.0)
    return float(10 ** math.floor(math.log10(lowest / 1.5)))


def _figure(title: str, result: Result) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"{title}\n{style.caption(result)}", fontsize=10)
    return figure, axes


def _method(entry: Result, name: str) -> Result:
    found: Result = next((m for m in entry["methods"] if m["name"] == name), {})
    return found


def _times(
    sets: Sequence[Result], name: str, unit: float, per_step: bool = False
) -> list[Bar]:
    bars: list[Bar] = []
    for entry in sets:
        time = _method(entry, name).get("time")
        scale = unit / entry["steps"] if per_step else unit
        bars.append(time and tuple(time[key] * scale for key in ("median", "q1", "q3")))
    return bars


def _peak(entry: Result, name: str) -> Bar:
    peak = _method(entry, name).get("peak_bytes")
    if peak is None:
        return None
    mebibytes = max(peak / 2**20, 0.1)
    return mebibytes, mebibytes, mebibytes


def _dots(axes: Axes, entry: Result) -> None:
    methods = entry["methods"][::-1]
    for i, method in enumerate(methods):
        colour = style.BLUE if method["ours"] else style.ORANGE
        if time := method["time"]:
            axes.plot([time["q1"] * 1e3, time["q3"] * 1e3], [i, i], color=colour)
            axes.plot(time["median"] * 1e3, i, "o", color=colour, markersize=5)
        else:
            reason = method["status"].split(":")[0]
            foot = axes.get_yaxis_transform()
            axes.text(0.4, i, reason, fontsize=7, va="center", transform=foot)
    axes.axvline(entry["floor"]["median"] * 1e3, color=style.BLACK, linewidth=1)
    axes.set_xscale("log")
    names = [f"ours, {m['name']}" if m["ours"] else m["name"] for m in methods]
    axes.set_yticks(range(len(methods)), names, fontsize=8)
    axes.set_ylim(-0.7, len(methods) - 0.3)
    axes.set_title(style.label(entry["dataset"]).replace("-\n", "").replace("\n", " "))
    axes.set_xlabel("ms (line: floor)", fontsize=8)
    style.tidy(axes)
