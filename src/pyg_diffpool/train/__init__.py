"""Training with Lightning: data sets by name, the module, the command line."""

from pyg_diffpool._extras import require_extra

require_extra("train")

from pyg_diffpool.train.data import GraphDataModule as GraphDataModule  # noqa: E402
from pyg_diffpool.train.module import DiffPoolModule as DiffPoolModule  # noqa: E402
