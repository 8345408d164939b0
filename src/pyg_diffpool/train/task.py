"""What is to be told of a graph: loss, metrics, baseline."""

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
)
from torchmetrics.regression import MeanAbsoluteError, R2Score
from torchmetrics.utilities.data import dim_zero_cat

Task = Literal["classification", "multilabel", "regression"]
# The metric by which epochs are compared, the larger the better.
SCORES: dict[Task, str] = {
    "classification": "accuracy",
    "multilabel": "average_precision",
    "regression": "r2",
}


def infer_task(
    y: Tensor,  # [B, T]
) -> Task:
    """The task of targets.

    A single whole number is a class; zeros and ones, some of which may be missing as
    NaN, are labels; other floats are to be regressed.
    """
    if y.size(1) == 1 and not y.is_floating_point():
        return "classification"
    numbers = y.is_floating_point() and not _fits("multilabel", y)
    return "regression" if numbers else "multilabel"


def _fits(task: Task, y: Tensor) -> bool:
    if task == "classification":
        return y.size(1) == 1 and bool(((y == y.round()) & (y >= 0)).all())
    good = y.isfinite() if task == "regression" else (y == 0) | (y == 1) | y.isnan()
    return bool(good.all())


def check_targets(
    task: Task,
    y: Tensor,  # [B, T]
) -> None:
    """Check that targets are of a task.

    Raises:
        ValueError: If they are not.
    """
    if not _fits(task, y):
        low, high = y.aminmax()
        raise ValueError(
            f"Expected 'y' for {task}: one class from 0, several labels of 0, 1 or NaN,"
            f" or finite numbers (got {y.size(1)} columns from {low:g} to {high:g})."
            " Choose another 'task'."
        )


def task_loss(
    task: Task,
    out: Tensor,  # [B, C]
    y: Tensor,  # [B] or [B, C]
    scale: Callable[[Tensor], Tensor],
) -> Tensor:
    """Mean cross-entropy of what is known or squared error of what is scaled, `[]`."""
    if task == "classification":
        return F.cross_entropy(out, y)
    if task == "regression":
        return F.mse_loss(scale(out), scale(y))
    known = (~y.isnan()).to(out.dtype)  # as weights: a selection would wait for a GPU
    truth = y.nan_to_num(0.0).to(out.dtype)
    total = F.binary_cross_entropy_with_logits(out, truth, known, reduction="sum")
    return total / known.sum().clamp(min=1)


def task_metrics(task: Task, out_channels: int) -> MetricCollection:
    """The metrics of a task, by name."""
    metrics: dict[str, Any] = {"mae": MeanAbsoluteError(), "r2": R2()}
    if task == "classification":
        metrics = {"accuracy": MulticlassAccuracy(out_channels, average="micro")}
    elif task == "multilabel":
        metrics = {"average_precision": OverLabels(binary_average_precision)}
        metrics["roc_auc"] = OverLabels(binary_auroc)
    return MetricCollection(metrics)


class R2(R2Score):
    """Coefficient of determination, summed in float64.

    Torchmetrics subtracts squares of sums, which cancel where the mean is large.
    """

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds.double(), target.double())


class OverLabels(Metric):
    """A score of one label, the mean over labels that some graphs have and some not.

    As OGB has it; torchmetrics counts 0 for a label that none has.
    """

    preds: Any
    target: Any

    def __init__(self, score: Callable[..., Tensor]) -> None:
        super().__init__()
        self.score = score
        self.add_state("preds", [], "cat")
        self.add_state("target", [], "cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add graphs, `[B, C]` and `[B, C]`, whose missing labels are NaN."""
        self.preds.append(preds.detach())
        self.target.append(target)

    def compute(self) -> Tensor:
        """The mean, NaN if there is no such label."""
        scores = []
        columns = dim_zero_cat(self.preds).T, dim_zero_cat(self.target).T
        for p, t in zip(*columns, strict=True):
            p, t = p[~t.isnan()], t[~t.isnan()].long()
            if len(t.unique()) == 2:
                scores.append(self.score(p, t))
        return torch.stack(scores).mean() if scores else torch.tensor(float("nan"))
