from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning")

from training.commands import fit


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A folder in TU's raw layout: 60 graphs, rings (class 1) and stars (2)."""
    folder = tmp_path_factory.mktemp("data") / "TINY"
    folder.mkdir()
    edges, graph_of, labels, node_labels = [], [], [], []
    for graph in range(60):
        size, first = 5 + graph % 8, len(graph_of) + 1
        ring = graph % 2 == 0
        for node in range(size):
            other = (node + 1) % size if ring else 0
            if node != other:
                edges += [(first + node, first + other), (first + other, first + node)]
            graph_of.append(graph + 1)
            node_labels.append(0 if ring or node else 1)
        labels.append(1 if ring else 2)
    lines = {
        "A": [f"{a}, {b}" for a, b in sorted(edges)],
        "graph_indicator": graph_of,
        "graph_labels": labels,
        "node_labels": node_labels,
    }
    for name, values in lines.items():
        text = "".join(f"{value}\n" for value in values)
        (folder / f"TINY_{name}.txt").write_text(text)
    return folder


@pytest.fixture(scope="session")
def fitted(tiny, tmp_path_factory) -> tuple[dict[str, Any], Path]:
    """The result and the folder of a run of three epochs."""
    runs = tmp_path_factory.mktemp("runs")
    result = fit(tiny, runs, "--trainer.max_epochs=3", "--model.lr=0.01")
    return result, runs / "TINY" / "version_0"
