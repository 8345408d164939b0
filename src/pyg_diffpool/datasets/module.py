"""Data sets for Lightning: loaded by name, split, standardised, batched."""

from typing import Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch_geometric.data import Dataset
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import Compose

from pyg_diffpool.datasets._parts import part_of
from pyg_diffpool.datasets.features import Standardize
from pyg_diffpool.datasets.inspection import (
    input_channels,
    read_classes,
    read_groups,
)
from pyg_diffpool.datasets.named import load_dataset
from pyg_diffpool.datasets.split_files import split_from_file
from pyg_diffpool.datasets.splits import Split, fold_split, stratified_split


class GraphDataModule(LightningDataModule):
    """Loads a graph classification data set and splits it.

    What a model must know (``in_channels``, ``num_classes``) can be asked right
    after construction: the data set is loaded then, once, or at the latest in
    ``setup``.

    An :class:`~torch_geometric.data.OnDiskDataset` stays on disk. Each process reads
    it once for the classes, once for the statistics of a float ``x`` unless
    ``standardize=False``, and once for the cardinalities of an integer ``x`` unless
    it has ``feature_cardinalities``; positions and classes are held in memory.

    Args:
        dataset: ``PythonFunctions``, a TUDataset name, a folder in TU's raw layout or
            ``package.module:Class``, see :func:`~pyg_diffpool.datasets.load_dataset`.
            (default: "PythonFunctions")
        root: Folder for downloads and processed files. (default: the user's cache
            folder)
        batch_size: Graphs in a mini-batch. (default: 64)
        fold: Round of a stratified cross-validation, or entry of ``split_file``.
            (default: None, which is one stratified split of 80, 10 and 10 %, or the
            file's first entry)
        num_folds: Rounds of the cross-validation. (default: 10)
        split_file: JSON file of splits, see
            :func:`~pyg_diffpool.datasets.split_from_file`. (default: None)
        seed: Seed of the split and of the order of training graphs. (default: 0)
        num_workers: Processes that load graphs. (default: 0)
        standardize: Shift and scale the columns of a float ``x`` to mean 0 and
            deviation 1 over the training graphs; columns of zeros and ones alone
            and integer ``x`` keep their values. (default: True)

    Raises:
        TypeError: At first use, if labels are not integers.
        ValueError: At first use, if the data set or the split is malformed; at once,
            if ``batch_size`` or ``num_workers`` is out of range.

    Example:
        .. code-block:: python

            data = GraphDataModule("ENZYMES", fold=0)
            model = Classifier(data.in_channels, data.num_classes)
            Trainer().fit(model, data)
    """

    def __init__(
        self,
        dataset: str = "PythonFunctions",
        root: str | None = None,
        batch_size: int = 64,
        fold: int | None = None,
        num_folds: int = 10,
        split_file: str | None = None,
        seed: int = 0,
        num_workers: int = 0,
        standardize: bool = True,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"'batch_size' must be at least 1, got {batch_size}")
        if num_workers < 0:
            raise ValueError(f"'num_workers' must be at least 0, got {num_workers}")
        self.save_hyperparameters()
        self._name, self._root = dataset, root
        self._batch_size, self._num_workers = batch_size, num_workers
        self._fold, self._num_folds = fold, num_folds
        self._split_file, self._seed = split_file, seed
        self._standardize = standardize
        self._dataset: Dataset | None = None
        self._in_channels: int | list[int] | None = None

    def prepare_data(self) -> None:
        """Download or build what is not in the cache, in one process a machine."""
        self._load()

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002
        """Load and split the data set, in every process."""
        self._load()

    @property
    def dataset(self) -> Dataset:
        """All graphs, with the features that the model sees."""
        return self._load()

    @property
    def split(self) -> Split:
        """Positions of the training, validation and test graphs in ``dataset``."""
        self._load()
        return self._split

    @property
    def labels(self) -> Tensor:
        """Class of every graph of ``dataset``, int64, shape ``[B]``."""
        self._load()
        return self._labels

    @property
    def in_channels(self) -> int | list[int]:
        """Width of a float ``x``, or the cardinality of each column of an integer one.

        Raises:
            ValueError: If an integer ``x`` has negative entries.
        """
        if self._in_channels is None:
            self._in_channels = input_channels(self._load())
        return self._in_channels

    @property
    def class_names(self) -> list[str]:
        """Name of every class; its number where the data set has no names."""
        known = getattr(self._load(), "class_names", None)
        if known is not None:
            return [str(name) for name in known]
        return [str(label) for label in range(int(self._labels.max()) + 1)]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def majority_accuracy(self) -> float:
        """Test accuracy of the class that is most frequent in training."""
        most_frequent = self.labels[self.split.train].bincount().argmax()
        right = self.labels[self.split.test] == most_frequent
        return float(right.double().mean())

    def train_dataloader(self) -> DataLoader:
        """Return the training graphs, in an order that ``seed`` decides."""
        generator = torch.Generator().manual_seed(self._seed)
        return self._loader(self.split.train, shuffle=True, generator=generator)

    def val_dataloader(self) -> DataLoader:
        """Return the validation graphs, in their order."""
        return self._loader(self.split.val)

    def test_dataloader(self) -> DataLoader:
        """Return the test graphs, in their order."""
        return self._loader(self.split.test)

    def predict_dataloader(self) -> DataLoader:
        """Return the test graphs, in their order."""
        return self._loader(self.split.test)

    def _loader(self, graphs: Tensor, **options: Any) -> DataLoader:
        return DataLoader(
            part_of(self._load(), graphs, self._num_workers),
            batch_size=self._batch_size,
            num_workers=self._num_workers,
            persistent_workers=self._num_workers > 0,
            **options,
        )

    def _load(self) -> Dataset:
        if self._dataset is None:
            dataset = load_dataset(self._name, self._root)
            self._labels = read_classes(dataset)
            self._split = self._make_split(read_groups(dataset))
            if self._standardize and dataset[0].x.is_floating_point():
                scale = Standardize.fit(dataset[i] for i in self._split.train.tolist())
                before = [] if dataset.transform is None else [dataset.transform]
                dataset.transform = Compose([*before, scale])
            self._dataset = dataset
        return self._dataset

    def _make_split(self, groups: Tensor | None) -> Split:
        y, fold, seed = self._labels, self._fold, self._seed
        if self._split_file is not None:
            return split_from_file(self._split_file, y.numel(), fold or 0)
        if fold is None:
            return stratified_split(y, seed=seed, groups=groups)
        return fold_split(y, fold, self._num_folds, seed, groups)
