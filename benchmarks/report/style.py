"""One look for all pictures: a colour-blind-safe palette, a legend below the axes."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLACK, GREY = "#000000", "#999999"
ORANGE, BLUE, GREEN, PURPLE = "#E69F00", "#0072B2", "#009E73", "#CC79A7"
COLOURS = {
    "auto": BLUE,
    "auto + layer": BLUE,
    "pyg-diffpool": BLUE,
    "PyG dense_diff_pool": ORANGE,
    "PyG, padded per batch": ORANGE,
    "PyG, dense loader": PURPLE,
    "tgp diff": GREEN,
    "tgp diff_u": PURPLE,
    "floor": BLACK,
}
HATCHES = {"tgp diff": "//", "tgp diff_u": "..", "PyG, dense loader": ".."}
MARKERS = {"auto": "o", "PyG dense_diff_pool": "s", "tgp diff_u": "^", "floor": ""}
LABELS = {
    "auto": "pyg-diffpool",
    "REDDIT-MULTI-12K-GSM1111": "REDDIT-12K\nsubset",
    "PythonFunctions": "Python-\nFunctions",
    "PyG dense_diff_pool": "PyG dense_diff_pool",
}


def label(name: str) -> str:
    """How a method or data set is called in a picture."""
    return LABELS.get(name, name)


def tidy(axes: Axes) -> None:
    """A grid behind the data and no box around it."""
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def legend_below(figure: Figure, axes: Axes) -> None:
    """All entries of `axes` in one row or two under the figure, the floor last."""
    entries = zip(*axes.get_legend_handles_labels(), strict=True)
    ordered = sorted(entries, key=lambda entry: str(entry[1]).startswith("floor"))
    handles, names = zip(*ordered, strict=True)
    figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=min(len(names), 5),
        frameon=False,
        fontsize=9,
        columnspacing=1.2,
    )


def caption(result: dict[str, Any]) -> str:
    """Machine, threads and versions of a run, for the title."""
    run = result["run"]
    versions = run["versions"]
    threads = f"{result['threads']} thread" + "s" * (result["threads"] > 1)
    return (
        f"{run['machine']['cpu']}, {threads}, torch {versions['torch']}, "
        f"PyG {versions['torch_geometric']}"
    )
