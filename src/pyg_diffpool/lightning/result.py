"""The line of results that ends a run."""

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch_geometric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import LightningDataModule, LightningModule, Trainer

from pyg_diffpool._files import write_whole


def evaluate_on_one_device(
    trainer: Trainer,
    model: LightningModule,
    datamodule: LightningDataModule,
    checkpoint: str,
) -> dict[str, float]:
    """Test a checkpoint of a fitted model in this process alone.

    A distributed sampler repeats graphs to give every rank as many as the
    others, so several devices would not measure the accuracy exactly.

    Args:
        trainer: The trainer that has fitted the model; tells the device.
        model: The model; takes the weights of the checkpoint.
        datamodule: The data.
        checkpoint: Path of the checkpoint.

    Returns:
        The logged test metrics by name.
    """
    if trainer.world_size > 1:
        torch.distributed.destroy_process_group()
    device = trainer.strategy.root_device
    tester = Trainer(
        accelerator=device.type if device.type != "mps" else "auto",
        devices=1 if device.index is None else [device.index],
        precision=trainer.precision,
        plugins=[LightningEnvironment()],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    metrics = tester.test(model, datamodule, ckpt_path=checkpoint, verbose=False)
    return dict(metrics[0])


def describe_run(
    trainer: Trainer, model: LightningModule, seconds: Sequence[float]
) -> dict[str, Any]:
    """Return what a run has taken: epochs, time, memory.

    Args:
        trainer: The trainer that has fitted the model.
        model: The model.
        seconds: Time of every training epoch.
    """
    device = trainer.strategy.root_device
    return {
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "seconds_per_epoch": round(median(seconds), 3) if seconds else None,
        "peak_memory_mib": _peak_memory_mib(device),
        "device": str(device),
        "devices": trainer.world_size,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


def versions() -> dict[str, str]:
    """Return the versions on which a result depends."""
    return {
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
        "pyg_diffpool": version("pyg-diffpool"),
    }


def print_result(result: dict[str, Any], path: Path | None = None) -> None:
    """Write a result as one JSON line to stdout and, if given, to a file."""
    line = json.dumps(result)
    if path is not None:
        write_whole(path, f"{line}\n".encode())
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _peak_memory_mib(device: torch.device) -> float | None:
    """Return the peak of allocated CUDA memory, or of the process on a CPU."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
