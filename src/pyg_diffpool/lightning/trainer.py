"""A Lightning trainer that can also plot."""

import sys
from pathlib import Path

from lightning.pytorch import Trainer

from pyg_diffpool.datasets.module import GraphDataModule
from pyg_diffpool.lightning.module import GraphClassifier


class PlottingTrainer(Trainer):
    """Lightning's trainer, which can also plot."""

    def plot(
        self,
        model: GraphClassifier,
        datamodule: GraphDataModule,
        ckpt_path: str,
        out: str | None = None,
        num_graphs: int = 4,
    ) -> None:
        """Draw test graphs by cluster, and the training curves.

        Args:
            model: The model; takes the weights of the checkpoint.
            datamodule: The data.
            ckpt_path: Checkpoint, or folder of a run.
            out: Folder for the pictures (default: that of the checkpoint).
            num_graphs: Number of graphs to draw.
        """
        from pyg_diffpool.plot import plot_run

        folder = Path(out) if out is not None else Path(ckpt_path).parent
        for path in plot_run(model, datamodule, Path(ckpt_path), folder, num_graphs):
            sys.stdout.write(f"{path}\n")
