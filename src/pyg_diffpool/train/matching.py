"""What a model takes from its training data, and whether other data fit it."""

from collections.abc import Mapping
from typing import Any

from pyg_diffpool.train.data import GraphDataModule
from pyg_diffpool.train.task import check_targets, infer_task


def describe_data(data: GraphDataModule, own: Mapping[str, Any]) -> dict[str, Any]:
    """Widths, task and names; those in `own`, the options of a model, are kept.

    Raises:
        ValueError: If the targets are not of the task.
    """
    y = data.known_targets()
    task = own.get("task") or infer_task(y)
    check_targets(task, y)
    names = None
    if task == "classification":
        given = own.get("class_names") or data.class_names or range(int(y.max()) + 1)
        names = [str(name) for name in given]
    found = {
        "in_channels": data.in_channels,
        "out_channels": y.size(1) if names is None else len(names),
        "task": task,
        "class_names": names,
        "label_ranges": data.label_ranges,
    }
    return {k: v if own.get(k) is None else own[k] for k, v in found.items()}


def check_features(data: GraphDataModule, own: Mapping[str, Any]) -> None:
    """Check that features are those of the training, or fewer of their categories.

    Raises:
        ValueError: If they are not.
    """
    here, trained = data.in_channels, own["in_channels"]
    fits = here == trained
    if isinstance(here, list) and isinstance(trained, list):
        fits = len(here) == len(trained) and all(map(int.__le__, here, trained))
    if not fits or data.label_ranges != (own["label_ranges"] or []):
        raise ValueError(
            f"Expected 'x' of {trained} columns or categories, and labels of nodes and "
            f"edges in {own['label_ranges']}, as in training (got {here} and "
            f"{data.label_ranges})."
        )


def check_classes(data: GraphDataModule, own: Mapping[str, Any]) -> None:
    """Check that targets are of the task, and classes numbered as in the training.

    Raises:
        ValueError: If they are not.
    """
    y, c = data.known_targets(), own["out_channels"]
    check_targets(own["task"], y)
    if own["task"] != "classification":
        if y.size(1) != c:
            raise ValueError(f"Expected {c} targets in 'y' (got {y.size(1)}).")
        return
    known = own["class_names"] or [str(i) for i in range(c)]
    names = [str(name) for name in data.class_names or known]
    if names != known or int(y.max()) >= c:
        got = f"{names}, and 'y' up to {int(y.max())}"
        raise ValueError(f"Expected the classes of the training, {known} (got {got}).")
