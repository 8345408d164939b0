"""What the files of TUDataset's raw layout must hold."""

from pathlib import Path

from torch import Tensor

MOST_ENTRIES = 2**31  # of one-hot labels: 8 GiB


def check_graphs(path: Path, labels: Path, graph: Tensor, num_graphs: int) -> None:
    """Graphs `[N]` from 0 to below their number, in rising order."""
    if int(graph.min()) < 0 or int(graph.max()) >= num_graphs:
        raise ValueError(
            f"expected graphs from 1 to {num_graphs} in {str(path)!r}, as many "
            f"as lines in {labels.name}, got {int(graph.min()) + 1} to "
            f"{int(graph.max()) + 1}"
        )
    falls = (graph.diff() < 0).nonzero()
    if falls.numel() > 0:
        raise ValueError(
            f"expected nodes sorted by graph in {str(path)!r}, got graph "
            f"{int(graph[falls[0] + 1]) + 1} after {int(graph[falls[0]]) + 1} in line "
            f"{int(falls[0]) + 2}; renumber the nodes"
        )


def check_edges(path: Path, indicator: Path, edge_index: Tensor, graph: Tensor) -> None:
    """Edges `[2, E]` between nodes that there are, within a graph."""
    num_nodes = graph.numel()
    outside = ((edge_index < 0) | (edge_index >= num_nodes)).any(dim=0).nonzero()
    if outside.numel() > 0:
        raise ValueError(
            f"expected nodes from 1 to {num_nodes} in {str(path)!r}, as many "
            f"as lines in {indicator.name}, got "
            f"{(edge_index[:, outside[0, 0]] + 1).tolist()} in line "
            f"{int(outside[0]) + 1}"
        )
    crossing = (graph[edge_index[0]] != graph[edge_index[1]]).nonzero()
    if crossing.numel() > 0:
        edge = edge_index[:, crossing[0, 0]]
        raise ValueError(
            f"expected edges within a graph in {str(path)!r}, got "
            f"{(edge + 1).tolist()} in line {int(crossing[0]) + 1}, from graph "
            f"{int(graph[edge[0]]) + 1} to graph {int(graph[edge[1]]) + 1}; "
            f"remove it or correct the indicator"
        )


def check_attributes(path: Path, x: Tensor) -> None:
    """No NaN, no infinity in `[N, C]`."""
    bad = (~x.isfinite()).nonzero()
    if bad.numel() > 0:
        row, column = bad[0].tolist()
        raise ValueError(
            f"expected finite numbers in {str(path)!r}, got {float(x[row, column])} in "
            f"line {row + 1}; fill in missing attributes, or scale large ones"
        )


def check_labels(path: Path, labels: Tensor) -> None:
    """Labels `[N, F]` whose one-hot columns, one for each value, can be held."""
    low, high = labels.amin(0).tolist(), labels.amax(0).tolist()
    values = sum(top - bottom + 1 for bottom, top in zip(low, high, strict=True))
    if values * labels.size(0) > MOST_ENTRIES:
        raise ValueError(
            f"expected labels that are few numbers in {str(path)!r}, got {min(low)} to "
            f"{max(high)}, a column for each; number the labels 0, 1, 2, ..."
        )
