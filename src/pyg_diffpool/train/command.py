"""The commands of `pyg-diffpool`, made by `LightningCLI`."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from jsonargparse import auto_cli
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import (
    BasePredictionWriter,
    EarlyStopping,
    ModelCheckpoint,
)
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from pyg_diffpool.train.data import GraphDataModule
from pyg_diffpool.train.module import DiffPoolModule

MONITOR: dict[str, Any] = {"monitor": "val/score", "mode": "max"}
TRAINER = {
    "default_root_dir": "runs",
    "devices": 1,
    "max_epochs": 200,
    "gradient_clip_val": 2.0,
    "log_every_n_steps": 1,
    "num_sanity_val_steps": 0,
}


class Patience(EarlyStopping):
    """Stop where `val/score` has not risen for a while.

    Args:
        patience: Epochs without a better score after which training stops; also of a
            training that is resumed. (default: `50`)
    """

    def __init__(self, patience: int = 50) -> None:
        super().__init__(**MONITOR, patience=patience, strict=False, check_finite=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"patience": self.patience})


class PredictionWriter(BasePredictionWriter):
    """Write a line for each graph of the set that is predicted, in its order.

    Columns: `graph`, the position in the set; `predicted` and `probability` of a class,
    or `predicted` (`predicted_0`, ... of several) labels' probabilities or values; and
    `true`, empty where it is not known.

    Args:
        path: CSV file to write. (default: `"predictions.csv"`)
    """

    def __init__(self, path: str = "predictions.csv") -> None:
        super().__init__(write_interval="epoch")
        self.path = Path(path).expanduser()

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        predictions: Sequence[Tensor],
        batch_indices: Sequence[Any],
    ) -> None:
        data: GraphDataModule = trainer.datamodule  # type: ignore[attr-defined]
        rows = list(_rows(pl_module, data, torch.cat([*predictions])))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def _rows(
    model: LightningModule, data: GraphDataModule, out: Tensor
) -> Iterator[dict[str, Any]]:
    task, names = model.hparams["task"], model.hparams["class_names"]
    width = max((y.size(1) for y in data.targets if y is not None), default=1)
    for i, (values, y) in enumerate(zip(out.cpu(), data.targets, strict=True)):
        truth = [None] * width if y is None else y[0].tolist()
        if task == "classification":
            probability, best = values.softmax(-1).max(-1)
            told = {"predicted": names[int(best)], "probability": f"{probability:.6f}"}
            known: dict[Any, str] = dict(enumerate(data.class_names or names))
            truth = [known.get(label, label) for label in truth]
        else:
            values = values.sigmoid() if task == "multilabel" else values
            told = _columns("predicted", [f"{v:.9g}" for v in values.tolist()])
        yield {"graph": i} | told | _columns("true", truth)


def _columns(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """A column, or `name_0`, ... of several."""
    if len(values) == 1:
        return {name: values[0]}
    return {f"{name}_{i}": value for i, value in enumerate(values)}


class DiffPoolCLI(LightningCLI):
    """`pyg-diffpool fit | validate | test | predict`.

    Of a checkpoint that is given, the options of model and data are taken; options that
    are typed or in a `--config` go before these, these before the defaults.
    """

    def __init__(self, args: list[str]) -> None:
        best = ModelCheckpoint(**MONITOR, filename="best")
        last = ModelCheckpoint(filename="last")  # of each epoch
        super().__init__(
            DiffPoolModule,
            GraphDataModule,
            trainer_defaults=TRAINER | {"callbacks": [best, last]},
            seed_everything_default=0,
            parser_kwargs={
                "exit_on_error": False,
                "description": "Train DiffPool on graphs, and use what was trained. "
                "'pyg-diffpool plot --help' tells how to draw it.",
            },
            args=args,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add early stopping and the file of predictions."""
        parser.add_lightning_class_args(Patience, "early_stopping")
        parser.add_lightning_class_args(PredictionWriter, "predictions")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and once more with the options of the checkpoint as defaults."""
        self.config = parser.parse_args(args)
        name = self.config.subcommand
        options = self.config[name]
        path = find_checkpoint(options.ckpt_path, options.trainer.default_root_dir)
        if path is None:
            if name != "fit":
                raise ValueError(f"Expected '--ckpt_path' for {name} (got none).")
            return
        self._subcommand_parsers[name].set_defaults(read_options(path))
        self.config = parser.parse_args(args)
        self.config[name].ckpt_path = path

    def _parse_ckpt_path(self) -> None:
        """Nothing is left to do: its options would go before those that are typed."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer that logs a training to CSV and TensorBoard, unless told else."""
        options = self._get(self.config_init, "trainer")
        if options.logger in (None, True):
            fits = self.subcommand == "fit"
            options.logger = _loggers(options.default_root_dir) if fits else False
        if not options.logger:
            self.save_config_callback = None
        return super().instantiate_trainer(**kwargs)

    def before_test(self) -> None:
        """Refuse several devices, of which a sampler repeats graphs for some."""
        if self.trainer.world_size > 1:
            raise ValueError(
                f"Expected one device for '{self.subcommand}' (got "
                f"{self.trainer.world_size}). Add --trainer.devices 1."
            )

    before_validate = before_predict = before_test

    def after_fit(self) -> None:
        """Test the best checkpoint, on one device."""
        trainer: Any = self.trainer
        best = trainer.checkpoint_callback.best_model_path or None
        if best is None:
            rank_zero_warn("No epoch was validated: the last weights are tested.")
        values = {"epochs": trainer.current_epoch}
        if trainer.world_size == 1 and not trainer.fast_dev_run:
            trainer.test(self.model, self.datamodule, best, verbose=False)
            values |= trainer.callback_metrics
        if trainer.is_global_zero:
            self._print(values, best)

    def after_test(self) -> None:
        path = self.config[self.subcommand].ckpt_path
        self._print(self.trainer.callback_metrics, path)

    after_validate = after_test

    def _print(self, values: Mapping[str, Any], checkpoint: str | None) -> None:
        """One line of JSON, in which what is not finite is null."""
        data = self.datamodule.hparams
        result = {
            "dataset": data["dataset"],
            "fold": data["fold"],
            "seed": self.config[self.subcommand].seed_everything,
            "checkpoint": checkpoint,
        }
        for name, value in values.items():
            number = value if isinstance(value, int) else round(float(value), 6)
            result[name.replace("/", "_")] = number if isfinite(number) else None
        sys.stdout.write(json.dumps(result) + "\n")


def _loggers(root: str) -> list[Logger]:
    log = CSVLogger(root, name="")
    return [log, TensorBoardLogger(root, name="", version=f"version_{log.version}")]


def find_checkpoint(name: str | None, root: str) -> str | None:
    """A path, or the newest `last` or `best` checkpoint in the folder of all runs.

    Raises:
        FileNotFoundError: If there is none.
    """
    if name not in ("last", "best"):
        return name
    found = [*Path(root).rglob(f"{name}*.ckpt")]
    if not found:
        raise FileNotFoundError(
            f"Expected a checkpoint {name}.ckpt below '{root}' (got none). Give its "
            "path, or say by --trainer.default_root_dir where runs are."
        )
    return str(max(found, key=lambda path: path.stat().st_mtime))


def read_options(path: str) -> dict[str, Any]:
    """The options of model and data in a checkpoint, as `model.lr`, `data.fold`, ...

    Raises:
        ValueError: If it cannot be read, or is none of this package.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        parts = {
            "model": content["hyper_parameters"],
            "data": content["datamodule_hyper_parameters"],
        }
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(
            f"Expected a checkpoint of 'pyg-diffpool fit' (got '{path}', "
            f"{type(error).__name__}: {error})."
        ) from error
    return {f"{part}.{k}": v for part, own in parts.items() for k, v in own.items()}


def run(args: list[str]) -> None:
    """Run a command."""
    if args[:1] == ["plot"]:
        auto_cli(plot, args=args[1:], as_positional=False, exit_on_error=False)
    else:
        DiffPoolCLI(args)


def plot(
    ckpt_path: str,
    out: str | None = None,
    num_graphs: int = 4,
    default_root_dir: str = "runs",
) -> None:
    """Draw test graphs coloured by cluster, and the training curves.

    Args:
        ckpt_path: Checkpoint of `pyg-diffpool fit`; its log is looked for beside it.
        out: Folder of the pictures. (default: `None`, that of the log)
        num_graphs: How many graphs to draw.
        default_root_dir: Folder of all runs, for `last` and `best`.
    """
    from pyg_diffpool.train.plot import plot_run

    path = Path(find_checkpoint(ckpt_path, default_root_dir) or "")
    read_options(str(path))
    data = GraphDataModule.load_from_checkpoint(path)
    model = DiffPoolModule.load_from_checkpoint(path, map_location="cpu")
    run = path.parent.parent
    folder = run if out is None else Path(out)
    for file in plot_run(model, data, folder, run / "metrics.csv", num_graphs):
        sys.stdout.write(f"{file}\n")
