"""Data sets for Lightning: loaded, looked at once, split, batched."""

import copy
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.utils.data import Subset
from torch_geometric.data import Data, Dataset, OnDiskDataset
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import BaseTransform, Compose, LocalDegreeProfile

from pyg_diffpool.train.sets import load_dataset
from pyg_diffpool.train.splits import Split, check_split, fold_split, split_from_file

READ = ("x", "edge_index", "edge_weight", "edge_attr", "clusters", "duplicate_group")


class GraphDataModule(LightningDataModule):
    """Graphs with a class, several labels or numbers each, in three parts.

    Every graph is looked at once. Graphs without `x` get PyG's `LocalDegreeProfile`,
    those without `y` are in no fold but predicted; those of one `duplicate_group` stay
    in one part. The data set is not changed.

    Args:
        dataset: A PyG data set, or what
            :func:`~pyg_diffpool.train.sets.load_dataset` takes.
        root: Folder of downloads and processed files. (default: PyG's own)
        batch_size: Graphs in a mini-batch. (default: `64`)
        fold: Round of cross-validation, see
            :func:`~pyg_diffpool.train.splits.fold_split`. (default: `None`, the split
            that the set brings, as OGB's do, or round 0)
        num_folds: How many rounds. (default: `10`)
        split_file: JSON file of splits, see
            :func:`~pyg_diffpool.train.splits.split_from_file`. (default: `None`)
        seed: Seed of the folds. (default: `0`)
        num_workers: Processes that load graphs. (default: `0`)

    Raises:
        ValueError: In `setup`, if a graph or the split is wrong; names the graph.

    Example:
        >>> from torch_geometric.datasets import FakeDataset
        >>> data = GraphDataModule(FakeDataset(num_graphs=40, num_classes=2), fold=3)
        >>> data.setup("fit")
        >>> data.in_channels, len(data.split["train"])
        (64, 32)
    """

    def __init__(
        self,
        dataset: str | Dataset = "PythonFunctions",
        root: str | None = None,
        batch_size: int = 64,
        fold: int | None = None,
        num_folds: int = 10,
        split_file: str | None = None,
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self._source: Dataset = None if isinstance(dataset, str) else dataset
        dataset = dataset if isinstance(dataset, str) else None  # in a checkpoint
        self.save_hyperparameters()
        self.dataset: Dataset = None
        self.split: Split = {}

    def prepare_data(self) -> None:
        """Download or build what is not on disk, in one process a machine.

        Raises:
            ValueError: If the set of a checkpoint has no name.
        """
        if self._source is None:
            if self.hparams["dataset"] is None:
                raise ValueError(
                    "Expected '--data.dataset' (got none, and the data "
                    "set of the training has no name)."
                )
            self._source = load_dataset(self.hparams["dataset"], self.hparams["root"])

    def setup(self, stage: str) -> None:
        """Load the graphs, look at each, and split them unless only to predict."""
        self.prepare_data()
        if self.dataset is None:
            self._look()
        if stage != "predict" and not self.split:
            self.split = self.make_split()

    def train_dataloader(self) -> DataLoader:
        return self._loader(self.part("train"), shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.part("val"))

    def test_dataloader(self) -> DataLoader:
        return self._loader(self.part("test"))

    def predict_dataloader(self) -> DataLoader:
        """All graphs of the set in its order, without `y`."""
        return self._loader(self.dataset, exclude_keys=["y"])

    def state_dict(self) -> dict[str, Any]:
        """The set and its split, for the checkpoint."""
        names = ("dataset", "fold", "num_folds", "split_file", "seed")
        return {name: self.hparams[name] for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse another split of the set of a checkpoint, or another set to go on.

        Raises:
            ValueError: If graphs would be tested that were trained on.
        """
        now, trained, trainer = self.state_dict(), state_dict["dataset"], self.trainer
        other_set = trained is None or now["dataset"] != trained
        if other_set and trainer is not None and trainer.state.fn != "fit":
            return
        for name, before in state_dict.items():
            if now[name] != before:
                raise ValueError(
                    f"Expected '{name}' to be {before} as in the checkpoint (got "
                    f"{now[name]}), whose training graphs would be tested. Train anew."
                )

    def known_targets(self) -> Tensor:
        """The targets of all graphs that have one, `[B, T]`.

        Raises:
            ValueError: If none has.
        """
        known = [y for y in self.targets if y is not None]
        if not known:
            raise ValueError("Expected 'y' in the graphs (got none in any).")
        return torch.cat(known)

    def part(self, name: str) -> Subset[Data]:
        """The graphs of the part `"train"`, `"val"` or `"test"`."""
        return Subset(self.dataset, self.split[name].tolist())

    def _loader(self, graphs: Any, **options: Any) -> DataLoader:
        workers = self.hparams["num_workers"]
        if workers and isinstance(self.dataset, OnDiskDataset):
            self.dataset.close()  # a connection must not be shared with the workers
            self.dataset._db = None
        options |= {"num_workers": workers, "persistent_workers": workers > 0}
        return DataLoader(graphs, batch_size=self.hparams["batch_size"], **options)

    def _look(self) -> None:
        """Check each graph, and keep what a model must know of all."""
        dataset: Any = copy.copy(self._source)
        before = [] if dataset.transform is None else [dataset.transform]
        dataset.transform = Compose([*before, OneForm()])
        if len(dataset) == 0:
            raise ValueError(f"Expected at least one graph in {dataset!r} (got none).")
        first = dataset[0]
        highest = torch.zeros(first.x.size(1), dtype=torch.long)
        self.targets: list[Tensor | None] = []  # [1, T] of each graph
        groups = []
        for i in range(len(dataset)):
            graph = dataset[i]
            check_graph(graph, first, i)
            if not first.x.is_floating_point() and len(graph.x):
                highest = highest.maximum(graph.x.amax(0))
            self.targets.append(graph.y)
            groups.append(graph.get("duplicate_group"))
        self._groups = None if None in groups else torch.cat(groups)
        if missing := self.targets.count(None):
            rank_zero_warn(f"{missing} of {len(dataset)} graphs have no 'y'.")
        self.in_channels: int | list[int] = first.x.size(1)
        if not first.x.is_floating_point():
            known = getattr(dataset, "feature_cardinalities", None)
            self.in_channels = list(known or (highest + 1).tolist())
        self.class_names: list[str] | None = getattr(dataset, "class_names", None)
        self.label_ranges: list[list[int]] = getattr(dataset, "label_ranges", [])
        self.dataset = dataset

    def make_split(self) -> Split:
        """The graphs of each part, as the options say."""
        n, fold = len(self.dataset), self.hparams["fold"]
        own = getattr(self.dataset, "get_idx_split", None)
        if self.hparams["split_file"] is not None:
            split = split_from_file(self.hparams["split_file"], n, fold)
        elif own is not None and fold is None:
            split = check_split(own(), n)
        else:
            return self._make_fold(fold or 0)
        graphs = torch.cat([*split.values()]).tolist()
        if missing := [i for i in graphs if self.targets[i] is None]:
            raise ValueError(
                f"Expected 'y' in each graph of the split (got none in {missing[:9]})."
            )
        return split

    def _make_fold(self, fold: int) -> Split:
        """A round of cross-validation among the graphs that have a target."""
        y = self.known_targets().squeeze(1)
        known = torch.tensor([i for i, y in enumerate(self.targets) if y is not None])
        no_class = y.dim() > 1 or y.is_floating_point() or int(y.min()) < 0
        groups = None if self._groups is None else self._groups[known]
        count, seed = self.hparams["num_folds"], self.hparams["seed"]
        classes = None if no_class else y
        split = fold_split(classes, len(known), fold, count, seed, groups)
        return {name: known[part] for name, part in split.items()}


class OneForm(BaseTransform):
    """Gives each graph what the network reads, in one form.

    `x` is float or int64 `[n, F]`; `y` float or int64 `[1, T]`, or missing, as it is
    for a class of -1 or -100.
    """

    def forward(self, data: Data) -> Data:
        """A graph of the attributes that are read."""
        values = {name: data.get(name) for name in READ}
        graph = Data(**{k: v for k, v in values.items() if v is not None})
        if graph.edge_index is None:
            raise ValueError(f"Expected 'edge_index' in a graph (got {data}).")
        if graph.x is None:
            graph.num_nodes = data.num_nodes
            graph = LocalDegreeProfile()(graph)
        graph.x = _widened(graph.x)
        graph.x = graph.x.unsqueeze(-1) if graph.x.dim() == 1 else graph.x
        if data.get("y") is not None:
            y = _widened(torch.as_tensor(data.y)).view(1, -1)
            missing = y.tolist() in ([[-1]], [[-100]]) and not y.is_floating_point()
            graph.y = None if missing else y
        return graph


def _widened(values: Tensor) -> Tensor:
    return values if values.is_floating_point() else values.long()


def check_graph(graph: Data, first: Data, i: int) -> None:
    """Check graph `i` for itself and beside the first one.

    Raises:
        ValueError: If an edge or a number is wrong, or numbers are missing.
    """
    try:
        graph.validate()
    except ValueError as error:
        raise ValueError(f"Expected a valid graph {i} (got: {error}).") from error
    edges = graph.num_edges
    rows = {"x": len(graph.x), "edge_weight": edges, "edge_attr": edges}
    for name, count in rows.items():
        value = graph.get(name)
        if (value is None) != (first.get(name) is None):
            raise ValueError(
                f"Expected '{name}' in all graphs or none (got graph {i})."
            )
        if value is None:
            continue
        if len(value) != count:
            raise ValueError(
                f"Expected {count} rows in '{name}' of graph {i} (got {len(value)})."
            )
        if not bool(value.float().isfinite().all()):
            raise ValueError(
                f"Expected finite numbers in '{name}' of graph {i} (got others)."
            )
