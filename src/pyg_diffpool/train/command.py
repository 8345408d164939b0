"""The commands of `pyg-diffpool`, made by `LightningCLI`."""

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from time import perf_counter
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

MONITOR = {"monitor": "val/score", "mode": "max"}
# What data tell unless it is given; a `config.yaml` has it as null.
TOLD = ("in_channels", "out_channels", "task", "class_names", "label_ranges")
TRAINER = {
    "default_root_dir": "runs",
    "devices": 1,
    "max_epochs": 200,
    "gradient_clip_val": 2.0,
    "log_every_n_steps": 1,
    "num_sanity_val_steps": 0,
}


class PredictionWriter(BasePredictionWriter):
    """Write a line for each graph of the set that is predicted, in its order.

    Columns: `graph`, the position in the set; `predicted` and `probability` of a class,
    or `predicted` (`predicted_0`, ... of several) labels' probabilities or values; and
    `true`, empty where it is not known.

    Args:
        path: File to write: JSON lines if it ends in `.jsonl`, else CSV. (default:
            `"predictions.csv"`)
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
        del batch_indices
        data: GraphDataModule = trainer.datamodule  # type: ignore[attr-defined]
        rows = list(_rows(pl_module, data, torch.cat([*predictions]).cpu()))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w", newline="", encoding="utf-8") as file:
            if self.path.suffix.lower() == ".jsonl":
                file.writelines(json.dumps(row) + "\n" for row in rows)
            else:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)


def _rows(
    model: LightningModule, data: GraphDataModule, out: Tensor
) -> Iterator[dict[str, Any]]:
    task, names = model.hparams["task"], model.hparams["class_names"]
    for i, (values, y) in enumerate(zip(out, data.targets, strict=False)):
        row: dict[str, Any] = {"graph": i}
        truth = [None] if y is None else y[0].tolist()
        if task == "classification":
            probability, best = values.softmax(-1).max(-1)
            row |= {"predicted": str(names[int(best)])}
            row |= {"probability": round(float(probability), 6)}
            known: dict[Any, Any] = dict(enumerate(data.class_names or names))
            truth = [known.get(label, label) for label in truth]
        else:
            values = values.sigmoid() if task == "multilabel" else values
            row |= _columns("predicted", [float(f"{v:.9g}") for v in values.tolist()])
        yield row | _columns("true", truth)


def _columns(name: str, values: Sequence[Any]) -> dict[str, Any]:
    """A column, or `name_0`, ... of several; empty where a value is not finite."""
    plain = [_finite(value) for value in values]
    if len(plain) == 1:
        return {name: plain[0]}
    return {f"{name}_{i}": value for i, value in enumerate(plain)}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


class DiffPoolCLI(LightningCLI):
    """`pyg-diffpool fit | validate | test | predict`.

    Of a checkpoint that is given, the options of model and data are taken; options that
    are typed or in a `--config` go before these, these before the defaults.
    """

    def __init__(self, args: list[str]) -> None:
        super().__init__(
            DiffPoolModule,
            GraphDataModule,
            trainer_defaults={
                **TRAINER,
                "callbacks": [ModelCheckpoint(filename="last")],
            },
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
        """Add checkpoints, early stopping and the file of predictions."""
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(EarlyStopping, "early_stopping")
        parser.add_lightning_class_args(PredictionWriter, "predictions")
        best = {**MONITOR, "filename": "best"}
        stop = {**MONITOR, "patience": 50, "strict": False, "check_finite": False}
        parser.set_defaults({f"checkpoint.{k}": v for k, v in best.items()})
        parser.set_defaults({f"early_stopping.{k}": v for k, v in stop.items()})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and once more with the options of the checkpoint as defaults."""
        self.config = parser.parse_args(args)
        name = self.config.subcommand
        options = self.config[name]
        path = find_checkpoint(options.ckpt_path, options.trainer.default_root_dir)
        if path is not None:
            stored = read_options(path)
            self._subcommand_parsers[name].set_defaults(stored)
            self.config = parser.parse_args(args)
            options = self.config[name]
            options.ckpt_path = path
            for told in TOLD:
                if options.model[told] is None:
                    options.model[told] = stored[f"model.{told}"]
        elif name != "fit":
            raise ValueError(f"Expected '--ckpt_path' for {name} (got none).")
        if options.data.dataset is None:
            raise ValueError(
                f"Expected '--data.dataset' (got none, as '{path}' was made of a data "
                "set without a name)."
            )
        for part in ("checkpoint", "early_stopping"):
            monitor, mode = options[part].monitor, options[part].mode
            if mode == MONITOR["mode"] and str(monitor).endswith(("loss", "mae")):
                raise ValueError(
                    f"Expected '--{part}.mode' min for {monitor} (got {mode})."
                )

    def _parse_ckpt_path(self) -> None:
        """Nothing is left to do: its options would go before those that are typed."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer that logs to CSV and TensorBoard, if it fits and none is chosen."""
        options = self._get(self.config_init, "trainer")
        if options.logger in (None, True):
            fits = self.subcommand == "fit" and not options.fast_dev_run
            kwargs["logger"] = _loggers(options.default_root_dir) if fits else False
        if not kwargs.get("logger", options.logger):
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

    def before_fit(self) -> None:
        self._start = perf_counter()

    def after_fit(self) -> None:
        """Test the best checkpoint, or on several devices say how to."""
        best = self._get(self.config_init, "checkpoint").best_model_path or None
        trainer: Any = self.trainer
        if best is None:
            rank_zero_warn("No epoch was validated: the last weights are tested.")
        run = {
            "epochs": trainer.current_epoch,
            "seconds": perf_counter() - self._start,
        }
        if trainer.world_size == 1 and not trainer.fast_dev_run:
            trainer.test(self.model, self.datamodule, best, verbose=False)
            run |= trainer.callback_metrics
        if trainer.is_global_zero:
            self._print(run, best)

    def after_test(self) -> None:
        path = self.config[self.subcommand].ckpt_path
        self._print(self.trainer.callback_metrics, path)

    after_validate = after_test

    def _print(self, values: Mapping[str, Any], checkpoint: str | None) -> None:
        """One line of JSON, in which what is not finite is null."""
        data = self.datamodule.hparams
        result = {
            "dataset": data.get("dataset"),
            "fold": data["fold"],
            "seed": self.config[self.subcommand].seed_everything,
            "checkpoint": checkpoint,
        }
        for name, value in values.items():
            number = value if isinstance(value, int) else round(float(value), 6)
            result[name.replace("/", "_")] = _finite(number)
        sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")


def _loggers(root: str) -> list[Logger]:
    log = CSVLogger(root, name="")
    return [log, TensorBoardLogger(root, name="", version=f"version_{log.version}")]


def find_checkpoint(name: str | None, root: str) -> str | None:
    """A path, or the newest `last` or `best` checkpoint in the folder of all runs.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If there are several best ones.
    """
    if name not in ("last", "best"):
        return name
    found = sorted(Path(root).rglob(f"{name}*.ckpt"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise FileNotFoundError(
            f"Expected a checkpoint {name}.ckpt below '{root}' (got none). Give its "
            "path, or say by --trainer.default_root_dir where runs are."
        )
    same = [path for path in found if path.parent == found[-1].parent]
    if name == "best" and len(same) > 1:
        raise ValueError(
            f"Expected one {name}.ckpt in '{same[0].parent}' (got {len(same)} that "
            "begin so). Give the path of one."
        )
    return str(found[-1])


def read_options(path: str) -> dict[str, Any]:
    """The options of model and data in a checkpoint, as `model.lr`, `data.fold`, ...

    Raises:
        ValueError: If it cannot be read, or is none of this package.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        data = {"dataset": None} | content["datamodule_hyper_parameters"]
        model = content["hyper_parameters"]
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(
            f"Expected a checkpoint of 'pyg-diffpool fit' (got '{path}', "
            f"{type(error).__name__}: {error})."
        ) from error
    options = {f"model.{name}": value for name, value in model.items()}
    return options | {f"data.{name}": value for name, value in data.items()}


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
