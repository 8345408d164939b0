"""The commands of ``pyg-diffpool``, made by `LightningCLI`."""

import sys
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger

from pyg_diffpool.datasets.module import GraphDataModule
from pyg_diffpool.lightning.arguments import (
    add_fit_arguments,
    add_predict_arguments,
)
from pyg_diffpool.lightning.callbacks import (
    EpochPrinter,
    EpochTimer,
    PredictionWriter,
    RandomState,
)
from pyg_diffpool.lightning.interruption import Interruption, WholeCheckpointIO
from pyg_diffpool.lightning.logs import continue_log, run_loggers
from pyg_diffpool.lightning.module import GraphClassifier
from pyg_diffpool.lightning.moved import MovedRun
from pyg_diffpool.lightning.quiet import hush
from pyg_diffpool.lightning.result import (
    describe_run,
    evaluate_on_one_device,
    print_result,
    versions,
)
from pyg_diffpool.lightning.settings import COMMANDS, SettingsCallback
from pyg_diffpool.lightning.trainer import PlottingTrainer

# Lightning's `save_last` copies the best checkpoint; this one is made each epoch.
LAST: dict[str, Any] = {"filename": "last", "enable_version_counter": False}


class DiffPoolCLI(LightningCLI):
    """``pyg-diffpool fit | validate | test | predict | plot``.

    `LightningCLI` parses, builds and runs. Added to it are: settings that come
    from the checkpoint, one folder per run (``RUNS/NAME/version_x``), and one
    JSON line of results, which is all that is written to stdout.
    """

    def __init__(self, args: list[str]) -> None:
        hush()
        self._timer = EpochTimer()
        super().__init__(
            GraphClassifier,
            GraphDataModule,
            save_config_callback=SettingsCallback,
            save_config_kwargs={"overwrite": True},
            trainer_class=PlottingTrainer,
            trainer_defaults={
                "gradient_clip_val": 2.0,
                "max_epochs": 200,
                "devices": 1,
                "log_every_n_steps": 1,
                "enable_model_summary": False,
            },
            seed_everything_default=0,
            parser_kwargs={
                "description": "Train DiffPool on graphs, and use what was trained.",
                **{name: {"description": text} for name, text in COMMANDS.items()},
            },
            args=args,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the commands with the arguments that are not the user's."""
        given = {"model", "datamodule", "dataloaders", "verbose", "return_predictions"}
        fit = {"model", "datamodule", "train_dataloaders", "val_dataloaders"}
        used = dict.fromkeys(("validate", "test", "predict", "plot"), given)
        return {"fit": fit, **used}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Return a parser; its description tells of which command it is."""
        self._description = kwargs.get("description")
        return super().init_parser(**kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what a command has of its own, and link the data to the model."""
        for name in ("in_channels", "num_classes"):
            parser.link_arguments(
                f"data.{name}", f"model.{name}", apply_on="instantiate"
            )
        if self._description == COMMANDS["fit"]:
            add_fit_arguments(parser)
        elif self._description == COMMANDS["predict"]:
            add_predict_arguments(parser)

    def _parse_ckpt_path(self) -> None:
        """Leave out Lightning's step, by which a checkpoint overrules the user."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the trainer, with loggers and progress fit for the terminal."""
        config = self.config[self.subcommand]
        given = self._get(self.config_init, "trainer")
        callbacks: list[Callback] = list(given.callbacks or [])
        if self.subcommand == "fit":
            callbacks += [self._timer, RandomState(), ModelCheckpoint(**LAST)]
            resumed = bool(config.ckpt_path)
            callbacks += [MovedRun(), Interruption(resumed=resumed)]
            if given.logger in (None, True):
                kwargs["logger"] = run_loggers(config)
        else:
            kwargs |= {"logger": given.logger or False, "enable_checkpointing": False}
        if self.subcommand == "predict":
            callbacks.append(PredictionWriter(config.output))
        if given.enable_progress_bar is None:
            kwargs["enable_progress_bar"] = sys.stderr.isatty()
            callbacks.append(_progress())
        return super().instantiate_trainer(callbacks=callbacks, **kwargs)

    def before_fit(self) -> None:
        """Put the checkpoints into the folder of the run; continue its log."""
        strategy = self.trainer.strategy
        if type(strategy.checkpoint_io) is TorchCheckpointIO:  # not the user's own
            strategy.checkpoint_io = WholeCheckpointIO()
        folder = Path(self.trainer.log_dir or ".").resolve()
        for checkpoint in self.trainer.checkpoint_callbacks:
            if isinstance(checkpoint, ModelCheckpoint) and checkpoint.dirpath is None:
                checkpoint.dirpath = str(folder)
        resumed = self.config[self.subcommand].ckpt_path
        if resumed and isinstance(self.trainer.logger, CSVLogger):
            continue_log(self.trainer.logger, Path(resumed))

    def after_fit(self) -> None:
        """Test the best checkpoint and print the result."""
        if self.config[self.subcommand].trainer.fast_dev_run:
            return
        best = self._best_checkpoint()
        run = describe_run(self.trainer, self.model, self._timer.seconds)
        if self.trainer.is_global_zero:
            metrics = evaluate_on_one_device(
                self.trainer, self.model, self.datamodule, str(best)
            )
            self._print(metrics, run, best, best.parent / "result.json")

    def validate(self, **kwargs: Any) -> None:
        """Validate a checkpoint and print the metrics."""
        metrics = self.trainer.validate(verbose=False, **kwargs)
        self._print(dict(metrics[0]), {}, kwargs["ckpt_path"])

    def test(self, **kwargs: Any) -> None:
        """Test a checkpoint and print the metrics."""
        metrics = self.trainer.test(verbose=False, **kwargs)
        self._print(dict(metrics[0]), {}, kwargs["ckpt_path"])

    def predict(self, **kwargs: Any) -> None:
        """Predict with a checkpoint; the callback writes the file."""
        self.trainer.predict(return_predictions=False, **kwargs)

    def _print(
        self,
        metrics: dict[str, float],
        run: dict[str, Any],
        checkpoint: str | Path,
        path: Path | None = None,
    ) -> None:
        if not self.trainer.is_global_zero:
            return
        data = self.config[self.subcommand].data
        values = {k.replace("/", "_"): round(v, 6) for k, v in metrics.items()}
        result = {
            "dataset": data.dataset,
            "fold": data.fold,
            "seed": self.config[self.subcommand].seed_everything,
            **values,
            "majority_accuracy": round(self.datamodule.majority_accuracy, 6),
            **run,
            "checkpoint": str(checkpoint),
            **versions(),
        }
        print_result(result, path)

    def _best_checkpoint(self) -> Path:
        """Return the best checkpoint, or the last state if none was kept yet."""
        best = self._get(self.config_init, "checkpoint").best_model_path
        if best:
            return Path(best)
        last = Path(self.trainer.log_dir or ".").resolve() / "last.ckpt"
        self.trainer.save_checkpoint(last)
        return last


def _progress() -> Callback:
    if sys.stderr.isatty():
        return RichProgressBar(console_kwargs={"stderr": True})
    return EpochPrinter()
