"""The commands of `pyg-diffpool`, made by `LightningCLI`."""

import csv
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import torch_geometric
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import (
    BasePredictionWriter,
    EarlyStopping,
    ModelCheckpoint,
)
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from torch import Tensor

from pyg_diffpool.train.data import GraphDataModule
from pyg_diffpool.train.module import DiffPoolModule
from pyg_diffpool.train.task import describe_output, name_columns

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
        """Write the file."""
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
        truth = [None] if y is None else y[0].tolist()
        if task == "classification":
            known: dict[Any, Any] = dict(enumerate(data.class_names or names))
            truth = [known.get(label, label) for label in truth]
        row = {"graph": i, **describe_output(task, values, names)}
        yield row | name_columns("true", truth)


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
        """Parse, and find the file of `--ckpt_path last` or `best`."""
        self.config = parser.parse_args(args)
        required = f"--early_stopping.monitor={MONITOR['monitor']}"
        self._given = parser.parse_args([*args, required], defaults=False)
        options = self.config[self.config.subcommand]
        if options.get("ckpt_path") in ("last", "best"):
            root = Path(options.trainer.default_root_dir)
            options.ckpt_path = str(newest_checkpoint(root, options.ckpt_path))

    def _parse_ckpt_path(self) -> None:
        """Take the options of the checkpoint, then again those that were given."""
        name = self.config.subcommand
        path = self.config[name].get("ckpt_path")
        if path is None:
            if name != "fit":
                raise ValueError(f"Expected '--ckpt_path' for {name} (got none).")
            return
        given = self._given[name].as_dict()
        stored = read_options(path)
        if not {"dataset"} & (stored["data"].keys() | given.get("data", {}).keys()):
            raise ValueError(
                f"Expected '--data.dataset' (got none, as '{path}' was made of a data "
                "set without a name)."
            )
        for part, options in stored.items():
            typed = {
                k: v
                for k, v in given.get(part, {}).items()
                if v is not None or k not in TOLD
            }
            merged = {name: {part: options | typed}}
            self.config = self.parser.parse_object(merged, self.config)

    def before_instantiate_classes(self) -> None:
        """Ask for the mode of a score that is not our own."""
        name = str(self.subcommand)
        config, given = self.config[name], self._given[name]
        for part in ("checkpoint", "early_stopping"):
            own = config[part].monitor == MONITOR["monitor"]
            if not own and given.get(f"{part}.mode") is None:
                raise ValueError(
                    f"Expected '--{part}.mode', min or max, with another score (got "
                    f"{config[part].monitor} alone)."
                )

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
        """Start the clock."""
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
        """Print the metrics."""
        path = self.config[self.subcommand].ckpt_path
        self._print(self.trainer.callback_metrics, path)

    after_validate = after_test

    def _print(self, values: Mapping[str, Any], checkpoint: str | None) -> None:
        """One line of JSON, in which what is not finite is null."""
        data = self.datamodule.hparams
        rounded = {k.replace("/", "_"): round(float(v), 6) for k, v in values.items()}
        epochs = {k: int(v) for k, v in rounded.items() if k == "epochs"}
        result = {
            "dataset": data.get("dataset"),
            "fold": data["fold"],
            "seed": self.config[self.subcommand].seed_everything,
            **{k: v if math.isfinite(v) else None for k, v in rounded.items()},
            **epochs,
            "checkpoint": checkpoint,
            "torch": torch.__version__,
            "torch_geometric": torch_geometric.__version__,
            "pyg_diffpool": version("pyg-diffpool"),
        }
        sys.stdout.write(json.dumps(result, allow_nan=False) + "\n")


def _loggers(root: str) -> list[Logger]:
    log = CSVLogger(root, name="")
    if getattr(rank_zero_only, "rank", 0) == 0:
        # Now, so that a run that starts beside this one takes another folder.
        Path(log.log_dir).mkdir(parents=True)
    return [log, TensorBoardLogger(root, name="", version=f"version_{log.version}")]


def newest_checkpoint(root: Path, name: str) -> Path:
    """The newest `last` or `best` checkpoint in the folder of all runs.

    Raises:
        FileNotFoundError: If there is none.
    """
    found = sorted(root.rglob(f"{name}*.ckpt"), key=lambda path: path.stat().st_mtime)
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
    return found[-1]


def read_options(path: str) -> dict[str, Any]:
    """The options of model and data in a checkpoint.

    Raises:
        ValueError: If it cannot be read, or is none of this package.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        data = content["datamodule_hyper_parameters"]
        return {"model": content["hyper_parameters"], "data": data}
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(
            f"Expected a checkpoint of 'pyg-diffpool fit' (got '{path}', "
            f"{type(error).__name__}: {error})."
        ) from error


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

    path = Path(ckpt_path)
    if ckpt_path in ("last", "best"):
        path = newest_checkpoint(Path(default_root_dir), ckpt_path)
    data = GraphDataModule(**read_options(str(path))["data"])
    model = DiffPoolModule.load_from_checkpoint(path, map_location="cpu")
    run = path.parent.parent
    folder = run if out is None else Path(out)
    for file in plot_run(model, data, folder, run / "metrics.csv", num_graphs):
        sys.stdout.write(f"{file}\n")
