"""Pictures of a trained model: its clusters and its training curves."""

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.utils import to_networkx

from pyg_diffpool._extras import require_extra
from pyg_diffpool.output import DiffPoolOutput
from pyg_diffpool.train.task import SCORES

require_extra("plot")

import networkx as nx  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402

# Okabe and Ito's palette, told apart with any colour vision. Clusters past the
# eighth repeat the colours with another marker.
COLORS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7"),
    *("#56B4E9", "#D55E00", "#F0E442", "#4D4D4D"),
)
MARKERS = "os^Dv<>ph*"
NODE = {"node_size": 30, "edgecolors": "white", "linewidths": 0.4}
READABLE = range(20, 151)  # nodes of a graph that is good to look at
MONITOR = "val/score"  # its largest value tells the best epoch

Curves = dict[str, dict[int, float]]  # column -> epoch -> value


def plot_run(
    model: LightningModule,
    datamodule: LightningDataModule,
    folder: Path,
    log: Path | None = None,
    num_graphs: int = 4,
) -> list[Path]:
    """Draw `clusters.png` and, if the log is there, `curves.png`.

    Args:
        model: Gives a `DiffPoolNetOutput`; `hparams` has `task` and `class_names`.
        datamodule: The data; graphs of the test set are drawn.
        folder: Where to write; made if it does not exist.
        log: `metrics.csv` of Lightning's `CSVLogger`. (default: `None`)
        num_graphs: How many graphs to draw. (default: `4`)

    Returns:
        The files written.

    Raises:
        ValueError: If there is no graph to draw.
    """
    datamodule.prepare_data()
    datamodule.setup("test")
    graphs = sorted(datamodule.test_dataloader().dataset, key=lambda g: g.num_nodes)
    graphs = [data for data in graphs if data.num_nodes in READABLE] or graphs
    if num_graphs < 1 or not graphs:
        got = f"'num_graphs' {num_graphs} of {len(graphs)}"
        raise ValueError(f"Expected at least 1 test graph to draw (got {got}).")
    step = max(len(graphs) // num_graphs, 1)  # spread evenly over the sizes
    model.eval()
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "clusters.png"]
    _draw_clusters(model, graphs[step // 2 :: step][:num_graphs]).savefig(paths[0])
    if log is not None and log.is_file():
        paths.append(folder / "curves.png")
        _draw_curves(log).savefig(paths[1])
    return paths


def hard_clusters(levels: Sequence[DiffPoolOutput]) -> list[Tensor]:
    """The likeliest cluster of each node by `S1`, `S1 S2`, ..., for a single graph.

    Args:
        levels: `DiffPoolNetOutput.levels` of a mini-batch of one graph.

    Returns:
        A vector `[N]` for each level.
    """
    matrices = (level.assignment.flatten(0, -2) for level in levels)
    return [composed.argmax(-1) for composed in accumulate(matrices, torch.mm)]


@torch.no_grad()
def _draw_clusters(model: LightningModule, graphs: Sequence[Data]) -> Figure:
    """A row for each graph, a column for each level; colours hold in a column."""
    outputs = [model(Batch.from_data_list([data]).to(model.device)) for data in graphs]
    clusters = [hard_clusters(output.levels) for output in outputs]
    columns = list(zip(*clusters, strict=True))
    # The largest first, so that these differ in colour.
    ordered = [Counter(torch.cat(column).tolist()).most_common() for column in columns]
    size = (max(3.8 * len(columns), 5.5), 2.9 * len(graphs))
    figure = Figure(figsize=size, dpi=150)
    figure.set_layout_engine("constrained", hspace=0.08)
    axes = figure.subplots(len(graphs), len(columns), squeeze=False)
    for row, data, output, found in zip(axes, graphs, outputs, clusters, strict=True):
        row[0].set_title(_title(data, output.out[0].cpu(), model.hparams), loc="left")
        net = nx.Graph(to_networkx(data, remove_self_loops=True))
        places = _places(net)
        for level, axis in enumerate(row):
            nx.draw_networkx_edges(net, places, ax=axis, edge_color="0.75", width=0.7)
            for rank, (cluster, _) in enumerate(ordered[level]):
                nodes = (found[level] == cluster).nonzero().flatten().tolist()
                color = COLORS[rank % len(COLORS)]
                shape = MARKERS[rank // len(COLORS) % len(MARKERS)]
                style = {"node_color": color, "node_shape": shape} | NODE
                nx.draw_networkx_nodes(net, places, nodes, ax=axis, **style)
            used, k = len(found[level].unique()), int(output.levels[level].mask.sum())
            axis.set_xlabel(f"level {level + 1}: {used} of {k} clusters used")
            axis.set_aspect("equal", adjustable="datalim")
            axis.set_frame_on(False)
    return figure


def _title(data: Data, out: Tensor, hparams: Mapping[str, Any]) -> str:
    """What was predicted for a graph and, where it is known, what is true."""
    y = None if data.y is None else data.y.flatten().cpu()
    if hparams["task"] == "classification":
        names = hparams["class_names"] or range(len(out))
        probability, best = out.softmax(0).max(0)
        true = "" if y is None else f"true class: {names[int(y)]}, "
        told = f"{true}predicted: {names[int(best)]} ({probability:.0%})"
    elif hparams["task"] == "multilabel":
        told = f"{int((out > 0).sum())} labels predicted"
        if y is not None:  # where a label is not known, it is NaN
            right = int(((out > 0) == y).sum())
            told += f", {right} of {int((~y.isnan()).sum())} right"
    else:
        rows = [t.tolist() for t in (out, y) if t is not None]
        texts = [" ".join(f"{value:.3g}" for value in row) for row in rows]
        told = "predicted " + ", true ".join(texts)
    return f"{data.num_nodes} nodes, {told}"


def _places(net: nx.Graph) -> dict[int, list[float]]:
    """Position of each node, the longer extent along the first axis."""
    if len(net) > 500:  # Kamada and Kawai's takes memory for N² numbers
        places = nx.spring_layout(net, seed=0)
    else:
        near = dict(nx.shortest_path_length(net))
        far = 2 + max(max(row.values()) for row in near.values())
        lengths = {i: dict.fromkeys(net, far) | row for i, row in near.items()}
        places = nx.kamada_kawai_layout(net, lengths)
    centred = torch.tensor([[*places[node]] for node in net])
    axes = torch.linalg.svd(centred.t() @ centred).Vh
    return dict(zip(net, (centred @ axes.t()).tolist(), strict=True))


def _draw_curves(log: Path) -> Figure:
    """Losses, clusters in use and a metric by epoch."""
    curves = _read(log)
    stages = ("train/", "val/")
    logged = sorted({c.split("/")[1] for c in curves if c.startswith(stages)})
    panels = {
        "task loss": ["task_loss"],
        "auxiliary losses": ["link_loss", "entropy_loss"],
        "clusters in use": [name for name in logged if name.startswith("perplexity_")],
        "metric": [name for name in SCORES.values() if name in logged],
    }
    panels = {k: v for k, v in panels.items() if not {*v}.isdisjoint(logged)}
    figure = Figure(figsize=(3.4 * len(panels), 3.6), dpi=150, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, names) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, curves, names)
        axis.set(title=title, yscale="log" if title == "auxiliary losses" else "linear")
    return figure


def _read(log: Path) -> Curves:
    """The columns; Lightning gives the values of one epoch in several rows."""
    curves: Curves = defaultdict(dict)
    with log.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            epoch = row.pop("epoch", None)  # empty beside a learning rate
            for name, value in row.items():
                if epoch and value:
                    curves[name][int(epoch)] = float(value)
    return curves


def _draw_panel(axis: Axes, curves: Curves, names: Sequence[str]) -> None:
    """A colour for each name; training dotted, validation solid."""
    for color, name in zip(COLORS, names, strict=False):
        for stage, style in (("train", "o:"), ("val", "o-")):
            if line := curves.get(f"{stage}/{name}"):
                label = f"{stage} {name}".replace("_", " ")
                axis.plot([*line], [*line.values()], style, c=color, ms=2, label=label)
        for value in [*curves.get(f"val/baseline_{name}", {}).values()][-1:]:
            axis.axhline(value, color="0.3", linestyle="--", label="baseline")
        scores = {e: v for e, v in curves.get(MONITOR, {}).items() if isfinite(v)}
        if scores and name in SCORES.values():
            epoch = max(scores, key=scores.__getitem__)
            axis.plot(epoch, scores[epoch], "ko", label=f"best: epoch {epoch}")
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=7)
