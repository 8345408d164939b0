"""The folder of a run and its logs."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from pyg_diffpool._files import write_whole

METRICS_FILE = "metrics.csv"


def run_loggers(config: Any) -> list[Logger]:
    """Return the CSV and the TensorBoard logger of a training.

    A new training gets a folder ``RUNS/NAME/version_x`` of its own; a resumed one
    goes on in the folder of its checkpoint.

    Args:
        config: Settings of ``fit``.
    """
    runs, version = Path(config.runs), None
    name = config.name or Path(config.data.dataset).name.rpartition(".")[2]
    if config.ckpt_path:
        folder = Path(config.ckpt_path).resolve().parent
        runs, name, version = folder.parent.parent, folder.parent.name, folder.name
    table = CSVLogger(runs, name, version, flush_logs_every_n_steps=1)
    return [table, TensorBoardLogger(runs, name, version=table.version)]


@rank_zero_only
def continue_log(logger: CSVLogger, checkpoint: Path) -> None:
    """Keep the rows of the first part of a resumed run.

    `CSVLogger` empties a file that it finds, hence the rows are put back; those of
    epochs after the checkpoint will be written anew.

    Args:
        logger: Logger of the resumed run.
        checkpoint: Checkpoint from which it goes on.
    """
    path = Path(logger.log_dir, METRICS_FILE)
    if not path.is_file():
        return
    epoch = torch.load(checkpoint, map_location="cpu", weights_only=True)["epoch"]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if int(row["epoch"]) <= epoch]
        names = list(reader.fieldnames or [])
    logger.experiment.metrics_keys = names
    write_csv(path, names, rows)


def write_csv(path: Path, names: list[str], rows: Iterable[dict[str, Any]]) -> None:
    """Write rows under a line of names, all or nothing."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())
