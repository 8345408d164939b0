"""Arguments that single commands have of their own."""

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser

MONITOR = {"monitor": "val/accuracy", "mode": "max"}


def add_fit_arguments(parser: LightningArgumentParser) -> None:
    """Add the folder of the run, the best checkpoint and early stopping.

    Both watch the validation accuracy: on small sets the cross entropy begins to
    rise long before the accuracy falls.
    """
    parser.add_argument("--runs", type=str, default="runs", help="Folder of all runs.")
    parser.add_argument(
        "--name",
        type=str | None,
        default=None,
        help="Folder of the versions of this run (default: name of the data set).",
    )
    parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
    parser.add_lightning_class_args(EarlyStopping, "early_stopping")
    best = {"filename": "best", "enable_version_counter": False, **MONITOR}
    parser.set_defaults({f"checkpoint.{k}": v for k, v in best.items()})
    stop = {"patience": 50, **MONITOR}
    parser.set_defaults({f"early_stopping.{k}": v for k, v in stop.items()})


def add_predict_arguments(parser: LightningArgumentParser) -> None:
    """Add the file to write."""
    parser.add_argument(
        "--output",
        type=str,
        default="predictions.csv",
        help="File to write: JSON lines if it ends in .jsonl, else CSV.",
    )
