"""All pictures of one run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch_geometric.data import Batch, Data

from pyg_diffpool.plot.clusters import ClusteredGraph, draw_clusters, hard_clusters
from pyg_diffpool.plot.curves import draw_curves

if TYPE_CHECKING:
    from pyg_diffpool.datasets.module import GraphDataModule
    from pyg_diffpool.lightning.module import GraphClassifier

DPI = 150
SIZES = range(20, 151)


def plot_run(
    model: "GraphClassifier",
    datamodule: "GraphDataModule",
    checkpoint: Path,
    folder: Path,
    num_graphs: int = 4,
) -> list[Path]:
    """Draw ``clusters.png`` and, if the run left a log, ``curves.png``.

    Args:
        model: Model of the checkpoint's architecture; takes its weights.
        datamodule: The data; graphs of the test set are drawn.
        checkpoint: File written by Lightning, beside ``metrics.csv``.
        folder: Where to write; made if it does not exist.
        num_graphs: Number of graphs to draw.

    Returns:
        The files written.

    Raises:
        ValueError: If ``num_graphs`` is less than one.
    """
    if num_graphs < 1:
        raise ValueError(f"Expected 'num_graphs' to be at least 1 (got {num_graphs}).")
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(state["state_dict"])
    model.eval()
    datamodule.prepare_data()
    datamodule.setup("test")
    dataset = datamodule.test_dataloader().dataset
    chosen = choose_graphs([graph.num_nodes for graph in dataset], num_graphs)
    graphs = [
        cluster_graph(model, dataset[index], datamodule.class_names) for index in chosen
    ]
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"clusters.png": draw_clusters(graphs)}
    log = checkpoint.parent / "metrics.csv"
    if log.is_file():
        figures["curves.png"] = draw_curves(log, datamodule.majority_accuracy)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=DPI)
    return [folder / name for name in figures]


def choose_graphs(sizes: Sequence[int], num_graphs: int) -> list[int]:
    """Return the indices of graphs of readable size, spread evenly over it.

    Args:
        sizes: Number of nodes of every graph.
        num_graphs: How many to choose.
    """
    readable = [i for i, size in enumerate(sizes) if size in SIZES]
    ordered = sorted(readable or range(len(sizes)), key=lambda i: sizes[i])
    count = min(num_graphs, len(ordered))
    return [ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count)]


@torch.no_grad()
def cluster_graph(
    model: "GraphClassifier", graph: Data, class_names: Sequence[Any]
) -> ClusteredGraph:
    """Return a graph with its clusters and, as title, true and predicted class.

    Args:
        model: The classifier, in evaluation mode.
        graph: One graph with ``x``, ``edge_index`` and ``y``.
        class_names: Names of the classes.
    """
    output = model(Batch.from_data_list([graph]).to(model.device))
    assignments = [level.assignment.cpu() for level in output.levels]
    probability, predicted = output.out[0].softmax(dim=0).max(dim=0)
    true = class_names[int(graph.y)]
    return ClusteredGraph(
        title=f"{graph.num_nodes} nodes, true class: {true}, "
        f"predicted: {class_names[int(predicted)]} ({probability:.0%})",
        edge_index=graph.edge_index.cpu(),
        levels=hard_clusters(assignments),
        max_clusters=[int(level.mask.sum()) for level in output.levels],
    )
