from pathlib import Path

import pytest
import torch

CLASSES = 2


def write_tu(root: Path, name: str, num_graphs: int = 40, labels: bool = True) -> None:
    """Rings and stars of 4 to 9 nodes, told apart by their class."""
    edges, indicator, targets, node_labels = [], [], [], []
    start = 1
    for graph in range(num_graphs):
        n, y = 4 + graph % 6, graph % CLASSES
        for i in range(n):
            pair = (start + i, start + (i + 1) % n) if y else (start, start + i)
            if pair[0] != pair[1]:
                edges += [pair, pair[::-1]]
        indicator += [graph + 1] * n
        node_labels += [i % 3 for i in range(n)]
        targets.append(y)
        start += n
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    files = {
        "A": [f"{i}, {j}" for i, j in edges],
        "graph_indicator": indicator,
        "graph_labels": targets,
    }
    if labels:
        files["node_labels"] = node_labels
    for key, lines in files.items():
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"{name}_{key}.txt").write_text(text)


@pytest.fixture
def tu_root(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    write_tu(tmp_path / "data", "REDDIT-MULTI-12K")
    write_tu(tmp_path / "data", "COLLAB", labels=False)
    return tmp_path / "data"
