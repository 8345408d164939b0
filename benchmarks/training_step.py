"""Whole training steps of PyG's example model and of the same with this package."""

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.loader import DataLoader, DenseDataLoader
from torch_geometric.transforms import ToDense

from benchmarks.batches import load_dataset
from benchmarks.example_model import DenseNet, Output, PaddingNet, SparseNet
from benchmarks.settings import Settings
from benchmarks.timing import Budget, Call, interleave

BATCH_SIZE = 20
QUICK = ("ENZYMES", "PythonFunctions")
DENSE_LIMIT = 4e9
OURS, PADDING, DENSE = "pyg-diffpool", "PyG, padded per batch", "PyG, dense loader"


@dataclass(frozen=True)
class StepSpec:
    """How many steps of 20 graphs on which set; `None` is an epoch.

    The seed draws the graphs. Where they are not all, seeds were chosen so that nodes,
    edges and the largest graph squared, which is what padding costs, are within 8 % of
    those of an epoch's mean step.
    """

    dataset: str
    steps: int | None
    seed: int = 0


SPECS = (
    StepSpec("ENZYMES", None),
    StepSpec("PROTEINS", None),
    StepSpec("DD", 3, 1452),
    StepSpec("COLLAB", 8, 1204),
    StepSpec("REDDIT-MULTI-12K-GSM1111", 3, 1057),
    StepSpec("PythonFunctions", 8, 335),
)


def run(settings: Settings) -> Iterator[dict[str, Any]]:
    """Measure on all data sets that are there; once more after each set."""
    measured: list[dict[str, Any]] = []
    absent: list[str] = []
    content = {"threads": settings.threads, "datasets": measured, "absent": absent}
    for spec in SPECS:
        if not settings.wants(spec.dataset, QUICK):
            continue
        dataset = load_dataset(spec.dataset, settings.root)
        if dataset is None:
            absent.append(spec.dataset)
            print(f"{spec.dataset}: absent from {settings.root}")
            continue
        steps = 3 if settings.quick else spec.steps
        graphs = draw_graphs(dataset, steps, spec.seed)
        result = measure(graphs, settings)
        print(f"{spec.dataset}: {result}")
        measured.append({"dataset": spec.dataset, **result})
        yield content
    yield content


def draw_graphs(dataset: InMemoryDataset, steps: int | None, seed: int) -> list[Data]:
    """The graphs of so many steps, seeded; sets without features get a constant."""
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dataset), generator=random)
    chosen = order if steps is None else order[: steps * BATCH_SIZE]
    graphs = []
    for i in chosen.tolist():
        data = dataset[i]
        x = torch.ones(data.num_nodes, 1) if data.x is None else data.x.float()
        y = data.y.view(-1).clamp(min=0)
        graphs.append(Data(x=x, edge_index=data.edge_index, y=y))
    return graphs


def measure(graphs: list[Data], settings: Settings) -> dict[str, Any]:
    """Seconds for one run through `graphs`, by each side."""
    in_channels = graphs[0].num_features
    classes = int(max(data.y.max() for data in graphs)) + 1
    max_nodes = max(int(data.num_nodes or 0) for data in graphs)
    calls: dict[str, Call] = {
        OURS: _epoch(SparseNet(in_channels, classes), _loader(graphs)),
        PADDING: _epoch(PaddingNet(in_channels, classes), _loader(graphs)),
    }
    # At the peak about eight blocks of the size of the adjacency are alive.
    limit = DENSE_LIMIT / 10 if settings.quick else DENSE_LIMIT
    if 8 * 4 * BATCH_SIZE * max_nodes**2 < limit:
        dense = DenseDataLoader(_Padded(graphs, max_nodes), BATCH_SIZE)
        net = DenseNet(in_channels, classes)
        calls[DENSE] = _epoch(net, dense, _run_dense)
    budget = Budget(0.5, at_most=5) if settings.quick else Budget(10.0, at_most=15)
    samples = interleave(calls, budget)
    methods = [
        {
            "name": name,
            "status": "ok" if name in samples else "too large",
            "time": samples[name].as_dict() if name in samples else None,
        }
        for name in (OURS, PADDING, DENSE)
    ]
    return {
        "graphs": len(graphs),
        "steps": -(-len(graphs) // BATCH_SIZE),
        "max_nodes": max_nodes,
        "methods": methods,
    }


class _Padded(Dataset[Data]):
    """Graphs padded at each access, as PyG's example does."""

    def __init__(self, graphs: list[Data], max_nodes: int) -> None:
        self.graphs, self.pad = graphs, ToDense(max_nodes)

    def __len__(self) -> int:
        return len(self.graphs)

    def __getitem__(self, i: int) -> Data:
        padded: Data = self.pad(copy.copy(self.graphs[i]))
        return padded


def _loader(graphs: list[Data]) -> Iterable[Data]:
    loader: Iterable[Data] = DataLoader(graphs, BATCH_SIZE)
    return loader


def _run_sparse(net: Module, data: Data) -> Output:
    out: Output = net(data)
    return out


def _run_dense(net: Module, data: Data) -> Output:
    out: Output = net(data.x, data.adj, data.mask)
    return out


def _epoch(
    net: Module,
    loader: Iterable[Data],
    forward: Callable[[Module, Data], Output] = _run_sparse,
) -> Callable[[], float]:
    """A run through the loader with steps of Adam; gives the summed loss."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def epoch() -> float:
        total = 0.0
        for data in loader:
            optimizer.zero_grad()
            logits, auxiliary = forward(net, data)
            y: Tensor = data.y.view(-1)
            loss = cross_entropy(logits, y) + auxiliary
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total

    return epoch
