"""A `DiffPoolNet` with its loss, metrics and optimiser."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch_geometric.data import Batch
from torchmetrics.classification import MulticlassAccuracy

from pyg_diffpool.conv import find_gnn
from pyg_diffpool.models import DiffPoolNet
from pyg_diffpool.output import DiffPoolNetOutput
from pyg_diffpool.readout import perplexities

Logged = dict[str, Tensor | MulticlassAccuracy]


class GraphClassifier(LightningModule):
    r"""Train :class:`~pyg_diffpool.models.DiffPoolNet` to classify graphs.

    .. math::
        \mathcal{L} = \mathcal{L}_{\mathrm{cross\ entropy}}
            + w_{\mathrm{link}}\,\mathcal{L}_{\mathrm{link}}
            + w_{\mathrm{entropy}}\,\mathcal{L}_{\mathrm{entropy}}

    Every argument is a plain value and is kept in the checkpoint, so that
    ``GraphClassifier.load_from_checkpoint(path, weights_only=True)`` works.

    Each stage also logs ``perplexity_1``, ... for each level: the number of clusters
    in use (:func:`~pyg_diffpool.readout.perplexity`).

    Args:
        in_channels: Size of the node features, or the number of categories of
            each column of integer node features.
        num_classes: Number of classes.
        hidden_channels: Width of every layer.
        num_clusters: Number of clusters of each pooling level.
        gnn: Name of a `BasicGNN` model of ``torch_geometric.nn``, such as
            ``"GraphSAGE"``, ``"GCN"`` or ``"GIN"``.
        link_weight: Weight of the link prediction loss.
        entropy_weight: Weight of the entropy of the assignments.
        lr: Learning rate of Adam.
        weight_decay: L2 penalty of Adam.
        lr_patience: Epochs without a better validation loss after which the
            learning rate is halved; ``None`` keeps it constant.
        sync_losses: Whether several processes compute the auxiliary losses of their
            joined mini-batch, see :func:`~pyg_diffpool.diff_pool`.
        **net_options: All other arguments of
            :class:`~pyg_diffpool.models.DiffPoolNet`. With ``edge_dim`` the network
            also gets the ``edge_attr`` of mini-batches, where it is floating-point.

    Raises:
        ValueError: If ``gnn`` is no such model, or its assignment is not learned.

    Example:
        >>> model = GraphClassifier(in_channels=3, num_classes=6, num_clusters=[8, 2])
        >>> [pool.assign.out_channels for pool in model.net.pools]
        [8, 2]
    """

    def __init__(
        self,
        in_channels: int | list[int],
        num_classes: int,
        hidden_channels: int = 64,
        num_clusters: Sequence[int] = (16, 4),
        gnn: str = "GraphSAGE",
        link_weight: float = 1.0,
        entropy_weight: float = 0.1,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        lr_patience: int | None = None,
        sync_losses: bool = True,
        **net_options: Any,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_patience = lr_patience
        self.net = DiffPoolNet(
            in_channels,
            hidden_channels,
            num_classes,
            num_clusters,
            gnn=find_gnn(gnn),
            link_weight=link_weight,
            entropy_weight=entropy_weight,
            sync_losses=sync_losses,
            **net_options,
        )
        if self.net.pools[0].assign is None:
            raise ValueError(
                "Expected a learned assignment (got 'learn_assignment=False'): "
                "mini-batches bring no clusters. Use DiffPoolNet in a loop of your own."
            )
        self.train_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.val_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.test_accuracy = MulticlassAccuracy(num_classes, average="micro")

    def forward(self, batch: Batch) -> DiffPoolNetOutput:
        """Apply the network to a mini-batch of graphs.

        Args:
            batch: PyG mini-batch with ``x``, ``edge_index``, ``batch`` and,
                optionally, ``edge_weight`` and ``edge_attr``.

        Returns:
            Logits ``out`` [B, num_classes], both auxiliary losses, and the
            result of every pooling level.
        """
        output: DiffPoolNetOutput = self.net(
            batch.x,
            batch.edge_index,
            batch.edge_weight if "edge_weight" in batch else None,
            batch=batch.batch,
            batch_size=batch.num_graphs,
            edge_attr=self._edge_attr(batch),
        )
        return output

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of a training mini-batch."""
        return self._step("train", batch, self.train_accuracy)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Log loss and accuracy of a validation mini-batch."""
        self._step("val", batch, self.val_accuracy)

    def test_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Log loss and accuracy of a test mini-batch."""
        self._step("test", batch, self.test_accuracy)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:  # noqa: ARG002
        """Predict the classes of a mini-batch.

        Returns:
            ``probabilities`` [B, num_classes], ``predicted`` [B] and, where
            the graphs carry a label, ``target`` [B].
        """
        probabilities = self(batch).out.softmax(dim=-1)
        result = {
            "probabilities": probabilities,
            "predicted": probabilities.argmax(dim=-1),
        }
        if batch.y is not None:
            result["target"] = batch.y.view(-1)
        return result

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return Adam, with a plateau schedule if ``lr_patience`` is given."""
        optimizer = torch.optim.Adam(
            self.parameters(), lr=self.lr, weight_decay=self.weight_decay
        )
        if self.lr_patience is None:
            return optimizer
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=self.lr_patience
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "monitor": "val/loss"},
        }

    def _edge_attr(self, batch: Batch) -> Tensor | None:
        if self.hparams.get("edge_dim") is None or batch.edge_attr is None:
            return None
        return batch.edge_attr if batch.edge_attr.is_floating_point() else None

    def _step(self, stage: str, batch: Batch, accuracy: MulticlassAccuracy) -> Tensor:
        output = self(batch)
        target = batch.y.view(-1)
        cross_entropy = F.cross_entropy(output.out, target)
        loss: Tensor = cross_entropy + output.auxiliary_loss
        accuracy(output.out, target)
        used = perplexities(output.levels, batch.batch, batch.num_graphs)
        shown: Logged = {"loss": loss, "accuracy": accuracy}
        parts: Logged = {
            "cross_entropy": cross_entropy,
            "link_loss": output.link_loss,
            "entropy_loss": output.entropy_loss,
            **{f"perplexity_{i}": value for i, value in enumerate(used, start=1)},
        }
        for values, prog_bar in ((shown, True), (parts, False)):
            self.log_dict(
                {f"{stage}/{name}": value for name, value in values.items()},
                prog_bar=prog_bar,
                on_step=False,
                on_epoch=True,
                batch_size=batch.num_graphs,
                sync_dist=True,
            )
        return loss
