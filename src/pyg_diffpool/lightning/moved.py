"""Runs that were moved or copied between two trainings."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


class MovedRun(Callback):
    """Lets a resumed run find its best checkpoint in the folder it lies in now.

    `ModelCheckpoint` remembers the folder it wrote to. In any other it starts anew, and
    the next epoch, however bad, would replace the best checkpoint.
    """

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Give the files that came along their present place."""
        del pl_module
        states = checkpoint.get("callbacks", {})
        for callback in trainer.checkpoint_callbacks:
            state = states.get(callback.state_key)
            if isinstance(callback, ModelCheckpoint) and state is not None:
                _move(state, Path(str(callback.dirpath)))


def _move(state: dict[str, Any], folder: Path) -> None:
    def here(path: str) -> str:
        moved = folder / Path(path).name
        return str(moved) if path and moved.is_file() else path

    if not Path(here(state["best_model_path"])).is_relative_to(folder):
        return
    for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
        state[name] = here(state[name])
    state["best_k_models"] = {here(k): v for k, v in state["best_k_models"].items()}
    state["dirpath"] = str(folder)
