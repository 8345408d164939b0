"""One training by Lightning's trainer, measured after every epoch."""

import copy
import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.nn import Module
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch_geometric.data import Batch, Dataset
from torch_geometric.loader import DataLoader
from torch_geometric.transforms import BaseTransform

from benchmarks.reproduce.networks import METHODS, Methods, make_network
from benchmarks.reproduce.settings import Training
from pyg_diffpool import DiffPoolNetOutput
from pyg_diffpool.train import DiffPoolModule, GraphDataModule
from pyg_diffpool.train.matching import describe_data

MEASURED = ("val", "test")


class TableData(GraphDataModule):
    """Graphs, each made once; the parts of `split` are measured together."""

    def __init__(
        self, graphs: Dataset, batch_size: int, transform: BaseTransform | None = None
    ) -> None:
        graphs = copy.copy(graphs)
        graphs.transform = transform
        super().__init__(graphs, batch_size=batch_size)
        self.setup("predict")
        self.dataset = [*self.dataset]

    def val_dataloader(self) -> list[DataLoader]:
        return [self._loader(self.part(p)) for p in MEASURED if p in self.split]

    def classes(self) -> Tensor:
        """Of each graph, `[B]`."""
        return torch.cat([y for y in self.targets if y is not None]).view(-1)

    def sizes(self) -> dict[str, int]:
        return {name: len(graphs) for name, graphs in self.split.items()}


class TableModule(DiffPoolModule):
    """The network of a method, trained by the settings of a set."""

    def __init__(
        self, settings: Training, mean_nodes: float, methods: Methods, **told: Any
    ) -> None:
        self._settings, self._mean_nodes, self._methods = settings, mean_nodes, methods
        super().__init__(**told)

    def make_net(self) -> Module:
        names = ("method", "in_channels", "out_channels")
        method, width, classes = (self.hparams[name] for name in names)
        own, nodes = self._settings, self._mean_nodes
        return make_network(method, width, classes, own, nodes, self._methods)

    def forward(self, batch: Batch) -> DiffPoolNetOutput:
        """Without the levels of networks whose assignment is not told."""
        out = super().forward(batch)
        told = all(level.gram is not None for level in out.levels)
        return out if told else replace(out, levels=())

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """In training leave out some nodes, and add noise to the scaled features."""
        if not self.training:
            return batch
        if noise := self._settings.noise:
            deviation = noise * self.feature_scale.std
            batch.x = batch.x + deviation * torch.randn_like(batch.x)
        return without_nodes(batch, self._settings.drop_nodes)

    def validation_step(
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._step(MEASURED[dataloader_idx], batch)

    def configure_optimizers(self) -> Any:
        lr, decay = self._settings.lr, self._settings.weight_decay
        steps = int(self.trainer.estimated_stepping_batches) + 1
        adam = torch.optim.AdamW(self.parameters(), lr, weight_decay=decay)
        rate = torch.optim.lr_scheduler.OneCycleLR(adam, lr, steps, pct_start=0.05)
        return [adam], [{"scheduler": rate, "interval": "step"}]


def without_nodes(batch: Batch, share: float) -> Batch:
    """The mini-batch without a share of its nodes; the first of each graph stays."""
    if not share:
        return batch
    kept = torch.rand(batch.num_nodes) >= share
    kept |= batch.batch.diff(prepend=batch.batch.new_tensor([-1])) > 0
    return batch.subgraph(kept)


@dataclass
class Curves(Callback):
    """What a training gave, an entry for each epoch."""

    metric: str
    loss: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    used: list[list[float]] = field(default_factory=list)
    """Clusters at each level, on validation graphs."""
    seconds: float = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        logged = trainer.callback_metrics
        self.loss.append(round(float(logged["train/loss"]), 4))
        self.seconds = round(time.perf_counter() - self._start, 3)
        if not math.isfinite(self.loss[-1]):
            raise FloatingPointError(
                f"Expected a finite loss (got {self.loss[-1]} in epoch "
                f"{len(self.loss)}). Lower the learning rate, or look at what the "
                "method divides by."
            )
        for part in ("train", *MEASURED):
            key = f"{part}/{self.metric}"  # Lightning appends the number of the loader
            for value in (v for k, v in logged.items() if k.startswith(key)):
                self.parts.setdefault(part, []).append(float(value))
        used = [v for k, v in sorted(logged.items()) if k.startswith("val/perplexity")]
        self.used.append([round(float(value), 2) for value in used])

    def right(self, part: str, graphs: int) -> list[int]:
        """Accuracies as numbers of graphs."""
        return [round(share * graphs) for share in self.parts[part]]


def fit(
    module: LightningModule,
    data: TableData,
    metric: str,
    epochs: int,
    decay: float = 0,
) -> Curves:
    """Train; with a `decay` the running mean of the weights is measured."""
    curves, average = Curves(metric), get_ema_multi_avg_fn(decay)
    mean = WeightAveraging(use_buffers=False, multi_avg_fn=average)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[curves, mean] if decay else [curves],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, datamodule=data)
    return curves


def train(
    data: TableData,
    method: str,
    settings: Training,
    seed: int,
    methods: Methods = METHODS,
) -> Curves:
    torch.manual_seed(seed)
    told = describe_data(data, {"task": "classification", "class_names": None})
    nodes = sum(graph.num_nodes for graph in data.dataset) / len(data.dataset)
    module = TableModule(settings, nodes, methods, method=method, **told)
    return fit(module, data, "accuracy", settings.epochs, settings.averaging)
