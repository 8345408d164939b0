"""Graphs with their nodes coloured by cluster, as in figure 2 of the paper."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from torch import Tensor

from pyg_diffpool.plot.layout import stress_layout

# Okabe and Ito's palette, told apart with any colour vision. Clusters past the
# eighth repeat the colours with another marker.
COLORS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7"),
    *("#56B4E9", "#D55E00", "#F0E442", "#4D4D4D"),
)
MARKERS = "os^Dv<>ph*"


@dataclass(frozen=True)
class ClusteredGraph:
    """A graph and the cluster of each of its nodes at every pooling level.

    Attributes:
        title: Text above the graph.
        edge_index: Edges [2, E].
        levels: One vector [N] of cluster numbers per pooling level.
        max_clusters: Number of clusters on offer at each level.
    """

    title: str
    edge_index: Tensor
    levels: Sequence[Tensor]
    max_clusters: Sequence[int]


def hard_clusters(
    assignments: Sequence[Tensor],  # [N, K_1], then [1, K_1, K_2] or [K_1, K_2], ...
) -> list[Tensor]:
    r"""Return the likeliest cluster of every node of one graph, level by level.

    Level :math:`l` is judged by the composed assignment
    :math:`S^{(1)} S^{(2)} \cdots S^{(l)}`.

    Args:
        assignments: Soft assignment matrices of the levels, from first to last.

    Returns:
        One vector [N] per level.
    """
    composed = assignments[0]
    clusters = [composed.argmax(dim=-1)]
    for assignment in assignments[1:]:
        composed = composed @ assignment.reshape(assignment.shape[-2:])
        clusters.append(composed.argmax(dim=-1))
    return clusters


def draw_clusters(graphs: Sequence[ClusteredGraph], seed: int = 0) -> Figure:
    """Draw one row per graph and one column per pooling level.

    Nodes keep their place from column to column, and a cluster its colour from
    row to row.

    Args:
        graphs: The graphs to draw.
        seed: Seed of the layout.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not graphs:
        raise ValueError("Expected at least one graph in 'graphs' (got 0).")
    columns = len(graphs[0].levels)
    ranks = [_ranks([graph.levels[i] for graph in graphs]) for i in range(columns)]
    size = (max(3.8 * columns, 5.5), 2.9 * len(graphs))
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(hspace=0.05))
    axes = figure.subplots(len(graphs), columns, squeeze=False)
    for row, graph in zip(axes, graphs, strict=True):
        positions = _layout(graph, seed)
        row[0].set_title(graph.title, loc="left", fontsize=9)
        for level, axis in enumerate(row):
            _draw_level(axis, graph, level, positions, ranks[level])
    return figure


def _ranks(levels: Sequence[Tensor]) -> dict[int, int]:
    """Number the clusters in use by size, so that the largest differ in colour."""
    counts = Counter(cluster for level in levels for cluster in level.tolist())
    ordered = sorted(counts, key=lambda cluster: (-counts[cluster], cluster))
    return {cluster: rank for rank, cluster in enumerate(ordered)}


def _layout(graph: ClusteredGraph, seed: int) -> NDArray[np.float64]:
    """Return node positions [N, 2]."""
    net = nx.Graph()
    net.add_nodes_from(range(len(graph.levels[0])))
    net.add_edges_from(graph.edge_index.t().tolist())
    net.remove_edges_from(list(nx.selfloop_edges(net)))
    return stress_layout(net, seed=seed)


def _draw_level(
    axis: Axes,
    graph: ClusteredGraph,
    level: int,
    positions: NDArray[np.float64],  # [N, 2]
    ranks: dict[int, int],
) -> None:
    clusters = graph.levels[level].numpy()
    edges = positions[graph.edge_index.t().numpy()]  # [E, 2, 2]
    axis.add_collection(LineCollection(list(edges), colors="0.75", linewidths=0.7))
    used = np.unique(clusters)
    for cluster in used:
        x, y = positions[clusters == cluster].T
        rank = ranks[int(cluster)]
        axis.scatter(
            x,
            y,
            s=30,
            color=COLORS[rank % len(COLORS)],
            marker=MARKERS[rank // len(COLORS) % len(MARKERS)],
            edgecolors="white",
            linewidths=0.4,
            zorder=2,
        )
    text = (
        f"level {level + 1}: {len(used)} of {graph.max_clusters[level]} clusters used"
    )
    axis.set_xlabel(text, fontsize=9)
    axis.set(xticks=[], yticks=[])
    axis.set_aspect("equal", adjustable="datalim")
    axis.margins(0.06)
    axis.spines[:].set_visible(False)
