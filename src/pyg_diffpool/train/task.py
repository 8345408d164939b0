"""What is to be told of a graph: loss, metrics, baseline."""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MultilabelAUROC,
    MultilabelAveragePrecision,
)
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_average_precision,
)
from torchmetrics.regression import MeanAbsoluteError, R2Score
from torchmetrics.utilities.data import dim_zero_cat

Task = Literal["classification", "multilabel", "regression"]


def infer_task(
    y: Tensor,  # [B, T]
) -> Task:
    """The task of targets.

    A single whole number is a class; zeros and ones, some of which may be missing as
    NaN, are labels; all else is to be regressed.

    Raises:
        ValueError: If several whole numbers a graph are other than zeros and ones.
    """
    if y.size(1) == 1 and not y.is_floating_point():
        return "classification"
    if _is_binary(y):
        return "multilabel"
    if y.is_floating_point():
        return "regression"
    raise ValueError(
        "Expected 'y' with one class, several labels of 0 and 1, or floats for "
        f"regression (got whole numbers from {int(y.min())} to {int(y.max())} in "
        f"{y.size(1)} columns)."
    )


# The metric by which epochs are compared, the larger the better.
SCORES: dict[Task, str] = {
    "classification": "accuracy",
    "multilabel": "average_precision",
    "regression": "r2",
}


def _is_binary(y: Tensor) -> bool:
    return bool(((y == 0) | (y == 1) | y.isnan()).all())


def check_targets(
    task: Task,
    y: Tensor,  # [B, T]
) -> None:
    """Check that targets are of a task.

    Raises:
        ValueError: If they are not.
    """
    wrong = {
        "classification": y.size(1) > 1 or bool((y != y.round()).any() | (y < 0).any()),
        "multilabel": not _is_binary(y),
        "regression": bool(y.isnan().any()),
    }
    if y.numel() == 0 or wrong[task]:
        low, high = y.nan_to_num(-1).aminmax() if y.numel() else (y.sum(), y.sum())
        raise ValueError(
            f"Expected 'y' for {task}, one class from 0, labels of 0, 1 or NaN, or "
            f"numbers (got {y.size(1)} columns from {low:g} to {high:g}, NaN as -1). "
            "Choose another 'task'."
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
    if task == "classification":
        accuracy = MulticlassAccuracy(out_channels, average="micro")
        return MetricCollection({"accuracy": accuracy})
    if task == "regression":
        return MetricCollection({"mae": MeanAbsoluteError(), "r2": R2()})
    scores = {"average_precision": AveragePrecision, "roc_auc": AUROC}
    options: dict[str, Any] = {"ignore_index": -1}
    labels = max(2, out_channels)
    return MetricCollection({k: m(labels, **options) for k, m in scores.items()})


def metric_inputs(task: Task, out: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """What the metrics read: probabilities, labels of -1 where they are not known."""
    if task == "classification":
        return out, y
    if task == "regression":
        return out.contiguous(), y
    more = (0, 1) if y.size(1) == 1 else (0, 0)  # they want two labels at least
    return F.pad(out.sigmoid(), more), F.pad(y.nan_to_num(-1).long(), more, value=-1)


class R2(R2Score):
    """Coefficient of determination; NaN for a single graph.

    Summed in float64: torchmetrics subtracts squares of sums, which cancel where the
    mean of the targets is large.
    """

    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.set_dtype(torch.float64)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add graphs."""
        super().update(preds.double(), target.double())

    def compute(self) -> Tensor:
        """The mean over targets."""
        one = int(self.total) < 2
        return self.total.new_tensor(float("nan")) if one else super().compute()


class AveragePrecision(MultilabelAveragePrecision):
    """Area under precision over recall, the mean over labels."""

    def compute(self) -> Any:
        """The mean over labels that some graphs have and some have not."""
        return _mean_over_labels(binary_average_precision, self.preds, self.target)


class AUROC(MultilabelAUROC):
    """Area under the rate of true over that of false positives, likewise."""

    def compute(self) -> Any:
        """The mean over labels that some graphs have and some have not."""
        return _mean_over_labels(binary_auroc, self.preds, self.target)


def _mean_over_labels(score: Callable[..., Tensor], preds: Any, target: Any) -> Tensor:
    """As OGB has it; torchmetrics counts an area of 0 for a label that none has."""
    scores = []
    for p, t in zip(dim_zero_cat(preds).T, dim_zero_cat(target).T, strict=True):
        if bool((t == 1).any() & (t == 0).any()):
            scores.append(score(p[t >= 0], t[t >= 0]))
    return torch.stack(scores).mean() if scores else torch.tensor(float("nan"))


def describe_output(
    task: Task,
    out: Tensor,  # [C]
    class_names: Sequence[str] | None,
) -> dict[str, Any]:
    """The columns of a prediction: class and probability, probabilities, or values."""
    if task == "classification":
        probability, best = out.softmax(-1).max(-1)
        name = str(int(best)) if class_names is None else str(class_names[int(best)])
        return {"predicted": name, "probability": round(float(probability), 6)}
    values = out.sigmoid() if task == "multilabel" else out
    return name_columns("predicted", [float(f"{float(v):.9g}") for v in values])


def name_columns(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """A column, or `name_0`, ... of several; empty where a value is not finite."""
    plain = [None if isinstance(v, float) and not isfinite(v) else v for v in values]
    if len(plain) == 1:
        return {name: plain[0]}
    return {f"{name}_{i}": value for i, value in enumerate(plain)}
