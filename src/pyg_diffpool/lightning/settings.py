"""The commands, and the settings that they take over from a checkpoint."""

import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from pyg_diffpool._files import UNREADABLE

COMMANDS = {
    "fit": "Train a model, or go on with the training of a checkpoint; then test.",
    "validate": "Measure a checkpoint on the validation graphs.",
    "test": "Measure a checkpoint on the test graphs.",
    "predict": "Write a checkpoint's predictions for the test graphs to a file.",
    "plot": "Draw test graphs coloured by cluster, and the training curves.",
}

KEY = "pyg_diffpool_config"

# What a checkpoint decides when it is used rather than trained on: the devices,
# loggers and limits of its training do not matter then.
USED = ("seed_everything", "data", "model")
# What belongs to one call and is never taken over from an earlier one.
CALL = ("ckpt_path", "config", "weights_only")


class SettingsCallback(SaveConfigCallback):
    """Save the settings of a training beside its log and in its checkpoints."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write ``config.yaml`` when a training starts, and only then."""
        if stage == "fit":
            super().setup(trainer, pl_module, stage)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the settings as text, which is safe to load."""
        del trainer, pl_module
        checkpoint[KEY] = self.parser.dump(self.config, format="json", skip_none=False)


def find_checkpoint(path: str, command: str) -> Path:
    """Return the checkpoint file that a command is to use.

    Args:
        path: A checkpoint, or the folder of a run: its last checkpoint is then
            used by ``fit``, which resumes, and its best by all else.
        command: Name of the command.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    file = Path(path)
    if file.is_dir():
        file /= "last.ckpt" if command == "fit" else "best.ckpt"
    if not file.is_file():
        raise FileNotFoundError(
            f"Expected a checkpoint, but there is no file '{file}'. Give a file "
            "written by 'pyg-diffpool fit', or the folder of its run."
        )
    return file


def read_settings(checkpoint: Path, command: str) -> str:
    """Return the settings that a command takes over from a checkpoint, as JSON.

    Args:
        checkpoint: A file written by ``pyg-diffpool fit``.
        command: ``"fit"`` resumes with every setting; all other commands take
            data and model only.

    Raises:
        ValueError: If the file is damaged or holds no settings of this package.
    """
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(
            f"Expected a checkpoint of 'pyg-diffpool fit', but '{checkpoint}' cannot "
            f"be read ({type(error).__name__}): it is damaged, of another kind or not "
            "yours to read."
        ) from error
    if KEY not in content:
        raise ValueError(
            f"Expected a checkpoint of 'pyg-diffpool fit', but '{checkpoint}' holds "
            f"no '{KEY}'. Load it with GraphClassifier.load_from_checkpoint instead."
        )
    settings: dict[str, Any] = json.loads(content[KEY])
    kept = settings.keys() - CALL if command == "fit" else settings.keys() & set(USED)
    return json.dumps({name: settings[name] for name in sorted(kept)})


def with_settings(args: list[str]) -> list[str]:
    """Return the arguments with those that a checkpoint stores put first.

    A checkpoint may be given right after the command, or by ``--ckpt_path``.

    Args:
        args: Command, checkpoint and options, as typed.

    Raises:
        FileNotFoundError: If the checkpoint does not exist.
        ValueError: If the command needs a checkpoint and got none.
    """
    command, *rest = args or [""]
    if command not in COMMANDS or {"-h", "--help"} & set(rest):
        return args
    if rest and not rest[0].startswith("-"):
        rest = ["--ckpt_path", *rest]
    rest = [part for arg in rest for part in _split(arg)]
    if "--ckpt_path" not in rest[:-1]:
        if command == "fit":
            return args
        raise ValueError(
            f"Expected a checkpoint (got none): pyg-diffpool {command} CHECKPOINT"
        )
    position = rest.index("--ckpt_path") + 1
    checkpoint = find_checkpoint(rest[position], command)
    rest[position] = str(checkpoint)
    return [command, f"--config={read_settings(checkpoint, command)}", *rest]


def _split(arg: str) -> list[str]:
    return arg.split("=", 1) if arg.startswith("--ckpt_path=") else [arg]
