"""Callbacks of the command line: times, progress, predictions."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from pyg_diffpool._files import write_whole
from pyg_diffpool.lightning.logs import write_csv


class EpochTimer(Callback):
    """Keep the wall-clock seconds of every whole training epoch.

    Validation and checkpointing are not counted. The times travel in the
    checkpoint, so a resumed run knows those of its first part.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def on_train_epoch_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Start the clock."""
        del trainer, pl_module
        self._start = perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *args: Any
    ) -> None:
        """Stop the clock after the last mini-batch, before validation."""
        del args
        if trainer.is_last_batch:
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize(pl_module.device)
            self.seconds.append(perf_counter() - self._start)

    def state_dict(self) -> dict[str, Any]:
        """Return the times for the checkpoint."""
        return {"seconds": list(self.seconds)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the times of the run that is resumed."""
        self.seconds = list(state_dict["seconds"])


class EpochPrinter(Callback):
    """One line per epoch on stderr: the progress of a run whose log is a file."""

    metrics = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line."""
        del pl_module
        values = trainer.callback_metrics
        text = "  ".join(f"{m} {values[m]:.3f}" for m in self.metrics if m in values)
        rank_zero_info(f"epoch {trainer.current_epoch:4d}  {text}")


class RandomState(Callback):
    """Keep the random generators in the checkpoint.

    A resumed run then draws what an uninterrupted one would have drawn. Several
    processes differ in their state, of which a checkpoint holds the first one's
    only, so theirs is left alone; their order of graphs follows from the epoch.
    """

    key = "pyg_diffpool_random_state"

    def __init__(self) -> None:
        self._saved: dict[str, Tensor] = {}

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the states as tensors, which are safe to load."""
        states = {"cpu": torch.get_rng_state()}
        if pl_module.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state()
        generator = getattr(trainer.train_dataloader, "generator", None)
        if generator is not None:
            states["loader"] = generator.get_state()
        checkpoint[self.key] = states

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the states of the run that is resumed."""
        del pl_module
        if trainer.world_size == 1:
            self._saved = checkpoint.get(self.key, {})

    def on_train_epoch_start(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> None:
        """Set the states, once, before the order of graphs is drawn."""
        del pl_module
        states, self._saved = self._saved, {}
        if not states:
            return
        torch.set_rng_state(states["cpu"].cpu())
        if "cuda" in states and torch.cuda.is_available():
            torch.cuda.set_rng_state(states["cuda"].cpu())
        generator = getattr(trainer.train_dataloader, "generator", None)
        if "loader" in states and generator is not None:
            generator.set_state(states["loader"].cpu())
        # The epoch's iterator exists already. It had drawn the seed of its workers
        # from the generator before it will draw the order: do so again, unless the
        # states are those of the start, which were taken after that.
        if trainer.global_step > 0:
            torch.empty((), dtype=torch.int64).random_(generator=generator)


class PredictionWriter(BasePredictionWriter):
    """Write one line per graph: index, predicted class, probability, true class.

    The index is that of the graph in the whole data set.

    Args:
        path: File to write: JSON lines if its name ends in ``.jsonl``, else CSV.
    """

    def __init__(self, path: str = "predictions.csv") -> None:
        super().__init__(write_interval="epoch")
        self.path = Path(path)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse to predict on several devices, each of which sees a part only.

        Raises:
            ValueError: If predictions are made on more than one device.
        """
        super().setup(trainer, pl_module, stage)
        if stage == "predict" and trainer.world_size > 1:
            raise ValueError(
                "Expected one device for 'predict', which writes one file "
                f"(got {trainer.world_size}). Add --trainer.devices 1."
            )

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        predictions: Sequence[dict[str, Tensor]],
        batch_indices: Sequence[Any],
    ) -> None:
        """Write the file and say where it is."""
        del pl_module, batch_indices
        rows = list(_rows(trainer, predictions))
        if self.path.suffix == ".jsonl":
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            write_whole(self.path, lines.encode())
        else:
            write_csv(self.path, list(rows[0]) if rows else [], rows)
        rank_zero_info(f"{len(rows)} predictions written to {self.path}")


def _rows(
    trainer: Trainer, predictions: Sequence[dict[str, Tensor]]
) -> Iterator[dict[str, Any]]:
    names = trainer.datamodule.class_names  # type: ignore[attr-defined]
    graphs = iter(_graph_indices(trainer))
    for batch in predictions:
        probabilities = batch["probabilities"].max(dim=-1).values.tolist()
        predicted = batch["predicted"].tolist()
        target = batch["target"].tolist() if "target" in batch else None
        for i, (cls, probability) in enumerate(
            zip(predicted, probabilities, strict=True)
        ):
            yield {
                "graph": next(graphs),
                "predicted": names[cls],
                "probability": round(probability, 6),
                "true": None if target is None else names[target[i]],
            }


def _graph_indices(trainer: Trainer) -> Sequence[int]:
    """Return each predicted graph's index in the data set it was taken from."""
    loader: Any = trainer.predict_dataloaders
    indices = getattr(loader.dataset, "indices", range(len(loader.dataset)))
    return list(indices() if callable(indices) else indices)
