"""A `DiffPoolNet` with its loss, metrics, optimiser and what was fitted."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from json import dumps
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from lightning.pytorch import LightningModule
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import Module, ModuleDict
from torch.optim import Adam
from torch_geometric.data import Data

from pyg_diffpool.conv import find_gnn
from pyg_diffpool.models import DiffPoolNet
from pyg_diffpool.output import DiffPoolNetOutput
from pyg_diffpool.readout import perplexities
from pyg_diffpool.train.data import GraphDataModule
from pyg_diffpool.train.matching import check_classes, check_features, describe_data
from pyg_diffpool.train.task import SCORES, Task, task_loss, task_metrics

STAGES = ("train", "val", "test")


class DiffPoolModule(LightningModule):
    r"""Train :class:`~pyg_diffpool.DiffPoolNet` on whole graphs.

    .. math::
        \mathcal{L} = \mathcal{L}_{\mathrm{task}}
            + w_{\mathrm{link}}\,\mathcal{L}_{\mathrm{link}}
            + w_{\mathrm{entropy}}\,\mathcal{L}_{\mathrm{entropy}}
            + w_{\mathrm{balance}}\,\mathcal{L}_{\mathrm{balance}}

    and other regularisers that have a weight, with the cross-entropy of classes or
    labels, or the squared error of targets scaled to deviation 1. Features and targets
    are scaled by what the training graphs have. This and all names are in the
    checkpoint, so that a model of `DiffPoolModule.load_from_checkpoint(path)` takes
    graphs as they are. With other data than a :class:`GraphDataModule` nothing is
    scaled, and no baseline told.

    Every stage logs `loss`, `task_loss`, `link_loss`, `entropy_loss`, the clusters in
    use, `perplexity_1`, ..., and the metrics: `accuracy`; `average_precision` and
    `roc_auc`; or `r2` and `mae`; also of a constant prediction, `baseline_accuracy`,
    ...; and the first of them as `score`.

    Args:
        in_channels: Width of `x`, or how many values each column of an integer one
            takes. (default: `None`, told by the :class:`GraphDataModule`)
        out_channels: Number of classes, labels or targets. (default: `None`, likewise)
        task: `"classification"`, `"multilabel"` or `"regression"`. (default: `None`,
            see :func:`~pyg_diffpool.train.task.infer_task`)
        class_names: Name of each class. (default: `None`, told by the data)
        label_ranges: Least and largest labels of nodes and edges that are columns of
            `x` and `edge_attr`. (default: `None`, likewise)
        hidden_channels: Width of every layer. (default: `64`)
        num_clusters: K of each level. (default: `(16, 4)`)
        gnn: Name of a `BasicGNN` model of PyG. (default: `"GraphSAGE"`)
        dropout: In GNNs and classifier. (default: `0.3`)
        lr: Learning rate of Adam. (default: `1e-3`)
        weight_decay: L2 penalty of Adam. (default: `1e-4`)
        **net_options: All other arguments of :class:`~pyg_diffpool.DiffPoolNet`. With
            `edge_dim` the network gets the graphs' `edge_attr`.

    Raises:
        ValueError: If there is no such `gnn`, or the data do not fit.

    Example:
        >>> model = DiffPoolModule(3, 6, "classification", num_clusters=[8, 2])
        >>> graph = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> model(graph).out.shape
        torch.Size([1, 6])
    """

    def __init__(
        self,
        in_channels: int | list[int] | None = None,
        out_channels: int | None = None,
        task: Task | None = None,
        class_names: list[str] | None = None,
        label_ranges: list[Any] | None = None,
        hidden_channels: int = 64,
        num_clusters: int | Sequence[int] = (16, 4),
        gnn: str = "GraphSAGE",
        dropout: float = 0.3,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        **net_options: Any,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        find_gnn(gnn)  # before data are loaded
        self._net_options = net_options
        self._has_prior = False
        if None not in (in_channels, out_channels, task):
            self._build()

    def _build(self) -> None:
        """Make what depends on widths and task."""
        own, c = self.hparams, self.hparams["out_channels"]
        self.net: Any = self.make_net()
        width = own["in_channels"]
        self.feature_scale = Scale(width if isinstance(width, int) else 0)
        self.target_scale = Scale(c)
        self.prior: Tensor
        self.register_buffer("prior", torch.zeros(c))
        metrics = task_metrics(own["task"], c)
        names = [f"{stage}/{kind}" for stage in STAGES for kind in ("", "baseline_")]
        self.metrics = ModuleDict({name: metrics.clone(name) for name in names})

    def make_net(self) -> Module:
        """The network, called as :class:`~pyg_diffpool.DiffPoolNet` is."""
        own = self.hparams
        return DiffPoolNet(
            own["in_channels"],
            own["hidden_channels"],
            own["out_channels"],
            own["num_clusters"],
            gnn=find_gnn(own["gnn"]),
            dropout=own["dropout"],
            sync_losses=True,
            **self._net_options,
        )

    def setup(self, stage: str) -> None:
        """Take widths, names and scales from the data, or check that they fit."""
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, GraphDataModule):
            return
        known = hasattr(self, "net")
        if stage == "fit" or not known:
            self.hparams.update(describe_data(data, self.hparams))
        if not known:
            self._build()
        check_features(data, self.hparams)
        if stage != "predict":
            check_classes(data, self.hparams)
        if stage == "fit":
            self._fit_scales(data)
        self._has_prior = True

    def _fit_scales(self, data: GraphDataModule) -> None:
        """Measure the training graphs; a checkpoint that is resumed goes before it."""
        train = data.split["train"].tolist()
        if len(self.feature_scale.mean):
            self.feature_scale.fit(torch.cat([data.dataset[i].x for i in train]))
        known = [data.targets[i] for i in train]
        y = self._target(torch.cat([y for y in known if y is not None]))
        if self.hparams["task"] == "regression":
            self.target_scale.fit(y)
        elif self.hparams["task"] == "classification":
            self.prior = F.one_hot(y.bincount().argmax(), len(self.prior)).float()

    def forward(self, batch: Data) -> DiffPoolNetOutput:
        """Logits of classes or labels, or values in the targets' unit, `[B, C]`.

        Args:
            batch: A graph or a mini-batch with `x`, `edge_index` and, optionally,
                `edge_weight` and, for a network with `edge_dim`, `edge_attr`.
        """
        x, weight, options = batch.x, batch.get("edge_weight"), {}
        x = self.feature_scale(x).to(self.dtype) if x.is_floating_point() else x.long()
        if self._net_options.get("edge_dim") is not None:
            if batch.edge_attr is None:
                raise ValueError("Expected 'edge_attr' for 'edge_dim' (got none).")
            options["edge_attr"] = batch.edge_attr.to(self.dtype)
        if batch.get("clusters") is not None:
            options["clusters"] = batch.clusters
        output: DiffPoolNetOutput = self.net(
            x,
            batch.edge_index,
            None if weight is None else weight.to(self.dtype),
            batch=batch.batch,
            batch_size=getattr(batch, "num_graphs", 1),
            **options,
        )
        out = output.out.to(torch.promote_types(output.out.dtype, torch.float32))
        return replace(output, out=self.target_scale.invert(out))

    def training_step(self, batch: Data, batch_idx: int) -> Tensor:
        return self._step("train", batch)

    def validation_step(self, batch: Data, batch_idx: int) -> None:
        self._step("val", batch)

    def test_step(self, batch: Data, batch_idx: int) -> None:
        self._step("test", batch)

    def predict_step(self, batch: Data, batch_idx: int) -> Any:
        """What `forward` gives, `[B, C]`."""
        return self(batch).out

    def _step(self, stage: str, batch: Data) -> Tensor:
        output, task = self(batch), self.hparams["task"]
        out, y = output.out, self._target(batch.y)
        error = task_loss(task, out, y, self.target_scale)
        loss: Tensor = error + output.auxiliary_loss
        values: dict[str, Any] = {
            "loss": loss,
            "task_loss": error,
            "link_loss": output.link_loss,
            "entropy_loss": output.entropy_loss,
        }
        used = perplexities(output.levels, batch.batch, batch.num_graphs)
        values |= {f"perplexity_{i}": value for i, value in enumerate(used, start=1)}
        logged = {f"{stage}/{name}": value for name, value in values.items()}
        predictions = {"": out}
        if self._has_prior:
            prior = self.target_scale.invert(self.prior.float())
            predictions["baseline_"] = prior.expand_as(out)
        for kind, prediction in predictions.items():
            metrics: Any = self.metrics[f"{stage}/{kind}"]
            metrics.update(prediction.contiguous(), y)
            logged |= dict(metrics.items())
        logged[f"{stage}/score"] = logged[f"{stage}/{SCORES[task]}"]
        self.log_dict(
            logged, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(y)
        )
        return loss

    def _target(self, y: Tensor) -> Tensor:
        """Classes `[B]`, or numbers `[B, C]`."""
        if self.hparams["task"] == "classification":
            return y.view(-1).long()
        return y.to(torch.promote_types(self.prior.dtype, torch.float32))

    def configure_optimizers(self) -> Any:
        """Adam."""
        own = self.hparams
        return Adam(self.parameters(), own["lr"], weight_decay=own["weight_decay"])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint of other options, which would go before those given.

        Raises:
            ValueError: If options differ; names them.
        """
        before = checkpoint["hyper_parameters"]
        for name, new in self.hparams.items():
            if dumps(before.get(name)) != dumps(new):
                raise ValueError(
                    f"Expected '{name}' to be {before.get(name)} as in the checkpoint "
                    f"(got {new}). Give the same value, or train anew."
                )


class Scale(Module):
    """Shifts and scales columns by a mean and a deviation, kept in float32."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def fit(self, values: Tensor) -> None:
        """Measure columns `[n, C]`; those of zeros and ones alone keep their values."""
        scaler = StandardScaler().fit(values.double().numpy())
        mean, std = (torch.from_numpy(v) for v in (scaler.mean_, scaler.scale_))
        kept = ((values == 0) | (values == 1)).all(0)
        self.mean = mean.masked_fill(kept, 0.0).float()
        self.std = std.masked_fill(kept, 1.0).float()

    def forward(self, values: Tensor) -> Tensor:
        """Scaled columns, in the dtype of `values`."""
        return ((values - self.mean) / self.std).to(values.dtype)

    def invert(self, values: Tensor) -> Tensor:
        return values * self.std + self.mean

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Scale":
        """Follow the module to a device, but not to half precision."""
        del recurse
        device = fn(self.mean).device
        self.mean, self.std = self.mean.to(device), self.std.to(device)
        return self
