"""The data sets that benchmarks run on, and what all benchmarks are told."""

import argparse
import os
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch_geometric import get_home_dir
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.datasets import TUDataset

from benchmarks.results import Result, Results
from pyg_diffpool.datasets import PythonFunctions

BATCH_SIZE = 20  # of training steps
QUICK = ("ENZYMES", "PythonFunctions")


@dataclass(frozen=True)
class SetSpec:
    """Which graphs of which data set.

    Operators run on a mini-batch of so many `graphs` with so many `clusters`; `seed`
    draws it. Training steps of 20 graphs are so many, `None` being an epoch;
    `steps_seed` draws them. Seeds were chosen for sizes, not for times: those of the
    operators so that nodes, edges and the largest graph are within 2 % of those that
    the operator was designed on, which have up to a tenth more nodes than a mean batch,
    on COLLAB 30 % more edges; those of the steps so that nodes, edges and the largest
    graph squared, which is what padding costs, are within 8 % of an epoch's mean step.
    """

    name: str
    graphs: int
    clusters: int
    seed: int = 0
    steps: int | None = None
    steps_seed: int = 0


SETS = (
    SetSpec("ENZYMES", 64, 16, 1827),
    SetSpec("PROTEINS", 64, 32, 1765),
    SetSpec("DD", 32, 64, 565, 3, 1452),
    SetSpec("COLLAB", 64, 32, 1546, 8, 1204),
    SetSpec("REDDIT-MULTI-12K-GSM1111", 32, 64, 1532, 3, 1057),
    SetSpec("PythonFunctions", 64, 16, 0, 8, 335),
)
SPECS = {spec.name: spec for spec in SETS}


@dataclass(frozen=True)
class Settings:
    """The folder of the TU sets; whether little; which sets, none being all."""

    root: Path
    quick: bool = False
    sets: Sequence[str] = ()


Measure = Callable[[Settings, SetSpec, InMemoryDataset], Result]


def measure_sets(measure: Measure, settings: Settings) -> Results:
    """Measure on all data sets that are there; yields once more after each set."""
    content: Result = {"datasets": [], "absent": []}
    for name in settings.sets or (QUICK if settings.quick else SPECS):
        dataset = load_dataset(name, settings.root)
        if dataset is None:
            content["absent"].append(name)
            print(f"{name}: absent from {settings.root}")
            continue
        content["datasets"].append(
            {"dataset": name, **measure(settings, SPECS[name], dataset)}
        )
        print(content["datasets"][-1])
        yield content
    yield content


def make_parser(command: str, description: str | None) -> argparse.ArgumentParser:
    """The options that all commands have."""
    parser = argparse.ArgumentParser(f"python -m {command}", description=description)
    beside = Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("PYG_DIFFPOOL_DATA", beside)),
        help="folder of the TU sets, as NAME/raw or NAME.tar.xz (default: "
        "$PYG_DIFFPOOL_DATA, or shared/data beside the checkout)",
    )
    parser.add_argument("--sets", nargs="+", default=(), choices=list(SPECS))
    parser.add_argument("--threads", type=int, default=1, help="(default: 1)")
    return parser


def load_dataset(name: str, root: Path) -> InMemoryDataset | None:
    """`PythonFunctions`, or a TU set from `root`; `None` if it is not there.

    `root` holds a folder NAME with the raw files, or NAME.tar.xz, which is unpacked to
    the user's cache folder.
    """
    if name == "PythonFunctions":
        return PythonFunctions()
    archive, cache = root / f"{name}.tar.xz", Path(get_home_dir()) / "benchmarks"
    if archive.exists() and not (cache / name).is_dir():
        with tarfile.open(archive) as file:
            file.extractall(cache, filter="data")
    there = [folder for folder in (root, cache) if (folder / name / "raw").is_dir()]
    return TUDataset(str(there[0]), name) if there else None


def draw(dataset: InMemoryDataset, count: int | None, seed: int) -> list[Data]:
    """So many graphs, or all, in seeded order."""
    random = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(dataset), generator=random)[:count]
    return [dataset[int(i)] for i in chosen]
