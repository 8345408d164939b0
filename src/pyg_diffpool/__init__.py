"""DiffPool for PyTorch Geometric, from sparse mini-batches of any size."""

from importlib.metadata import PackageNotFoundError, version

from pyg_diffpool.code2 import DiffPoolCode2
from pyg_diffpool.dense import dense_diff_pool
from pyg_diffpool.layer import DiffPool
from pyg_diffpool.models import DiffPoolNet
from pyg_diffpool.operator import diff_pool
from pyg_diffpool.output import DiffPoolNetOutput, DiffPoolOutput, unpool
from pyg_diffpool.padding import to_flat, to_padded
from pyg_diffpool.readout import readout

try:
    __version__ = version("pyg-diffpool")
except PackageNotFoundError:  # a checkout on the path, not installed
    __version__ = "0+unknown"

__all__ = [
    "DiffPool",
    "DiffPoolCode2",
    "DiffPoolNet",
    "DiffPoolNetOutput",
    "DiffPoolOutput",
    "dense_diff_pool",
    "diff_pool",
    "readout",
    "to_flat",
    "to_padded",
    "unpool",
]
