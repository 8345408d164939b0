"""Runs that end before their time: what is left of them, and what is said."""

import errno
import sys
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from pyg_diffpool._files import save_whole

_UNWRITABLE = {
    getattr(errno, name)
    for name in (
        "EACCES",
        "EDQUOT",
        "EEXIST",
        "EFBIG",
        "ENOSPC",
        "ENOTDIR",
        "EPERM",
        "EROFS",
    )
    if hasattr(errno, name)
}
_LOST = ("onnection closed by peer", "onnection reset by peer", "onnection refused")


class WholeCheckpointIO(TorchCheckpointIO):
    """Checkpoints that replace their forerunner once they are whole on the disk.

    Lightning's own writes them to the folder for temporary files first and, where
    that is another disk, copies them over the forerunner.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        save_whole(checkpoint, Path(path))


class Interruption(Callback):
    """Leaves a checkpoint from the first step on, and says how to go on from it.

    Args:
        resumed: Whether the run goes on from a checkpoint and thus has one.
    """

    def __init__(self, resumed: bool) -> None:
        self._resumed = resumed
        self._last: Path | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the start, for an end within the first epoch."""
        del pl_module
        if trainer.log_dir is None or getattr(trainer, "fast_dev_run", False):
            return
        self._last = Path(trainer.log_dir).resolve() / "last.ckpt"
        if not self._resumed:
            trainer.save_checkpoint(self._last)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Say how to go on; of several processes the first does, or who is left."""
        del pl_module
        if self._last is None or not self._last.is_file():
            return
        if trainer.is_global_zero or is_lost(exception):
            sys.stderr.write(
                f"pyg-diffpool: stopped in epoch {trainer.current_epoch}. Go on from "
                f"its last whole epoch with: pyg-diffpool fit {self._last.parent}\n"
            )


def is_lost(error: BaseException) -> bool:
    """Whether an error says that another process of the run cannot be reached."""
    if isinstance(error, getattr(dist, "DistError", ())):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(part in text for part in _LOST)


def describe_end(error: BaseException) -> str | int | None:
    """Return the text, or exit status, with which the command ends; None if unknown.

    Args:
        error: What ended it.
    """
    if isinstance(error, SIGTERMException):
        return 128 + 15
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        return (
            f"pyg-diffpool: {error}. A run writes to --runs, data sets to --data.root."
        )
    if is_lost(error):
        first = str(error).splitlines()[0]
        return (
            "pyg-diffpool: expected all processes of the run to answer, but another "
            f"one has ended or cannot be reached; its own output tells why ({first})"
        )
    return None
