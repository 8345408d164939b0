"""Small data sets and the command line, run in this process."""

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning")

from pyg_diffpool.cli import main

SMALL = ["--model.hidden_channels=8", "--model.num_clusters=[4,2]"]
QUICK = [*SMALL, "--trainer.max_epochs=2", "--data.num_folds=3"]
LEARN = [*SMALL, "--model.lr=0.03", "--trainer.max_epochs=25", "--data.num_folds=5"]
SETS = """
import torch
from torch_geometric.data import Data, InMemoryDataset


def triangle(x, **others):
    edge_index = torch.tensor([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])
    return Data(x=x, edge_index=edge_index, **others)


class Set(InMemoryDataset):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.data, self.slices = self.collate([self.graph(i) for i in range(60)])

    def graph(self, i):
        return triangle(torch.randn(3, 2) + 3 * (i % 2), y=torch.tensor([i % 2]))
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


@pytest.fixture
def cli(work: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:  # noqa: ARG001
    """Runs a command; gives the line of JSON that it ends with, or its last line."""

    def run(*args: object) -> Any:
        main([str(arg) for arg in args])
        last = capsys.readouterr().out.splitlines()[-1:]
        try:
            return json.loads(*last)
        except (json.JSONDecodeError, TypeError):
            return last

    return run


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run: values of about 10 mean label 3, of about 20 label 7."""
    folder = tmp_path_factory.mktemp("trained")
    values = [10.0 + g % 3 / 10 if g % 2 else 20.0 + g % 3 / 10 for g in range(40)]
    data = write_tu(folder / "OLD", values, [3 if g % 2 else 7 for g in range(40)])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        main(["fit", f"--data.dataset={data}", *LEARN])
    return folder


@pytest.fixture
def trained(trained_once: Path, work: Path) -> str:
    """A copy of that run in the working folder; its best checkpoint."""
    shutil.copytree(trained_once / "runs", work / "runs")
    return "runs/version_0/checkpoints/best.ckpt"


@pytest.fixture
def make_set(work: Path, request: pytest.FixtureRequest) -> Callable[..., str]:
    """Writes a data set of graphs `g` changed by these lines; gives its name."""

    def write(change: str = "", more: str = "") -> str:
        module = f"sets_{abs(hash((request.node.nodeid, change, more)))}"
        lines = ["g = super().graph(i)", *change.splitlines(), "return g"]
        method = "\n        ".join(["    def graph(self, i):", *lines])
        (work / f"{module}.py").write_text(
            f"{SETS}\n\nclass Mine(Set):\n{method}\n\n{more}"
        )
        return f"{module}:Mine"

    return write


def write_tu(
    folder: Path, values: Iterable[float], labels: Iterable[object] | None
) -> Path:
    """A folder of triangles in TU's raw layout, one value for the nodes of each."""
    folder.mkdir()
    values, name = list(values), folder.name
    edges = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 2)]
    rows = {
        "A": [
            f"{3 * g + a + 1}, {3 * g + b + 1}"
            for g in range(len(values))
            for a, b in edges
        ],
        "graph_indicator": [g + 1 for g in range(len(values)) for _ in range(3)],
        "graph_labels": labels,
        "node_attributes": [v + d for v in values for d in (-0.1, 0.0, 0.1)],
    }
    for kind, lines in rows.items():
        if lines is not None:
            text = "".join(f"{line}\n" for line in lines)
            (folder / f"{name}_{kind}.txt").write_text(text)
    return folder
