"""DiffPool for PyTorch Geometric, from sparse mini-batches of any size."""

from importlib.metadata import version

from pyg_diffpool.operator import diff_pool
from pyg_diffpool.output import DiffPoolOutput, unpool
from pyg_diffpool.padding import to_flat, to_padded

__version__ = version("pyg-diffpool")
__all__ = [
    "DiffPoolOutput",
    "diff_pool",
    "to_flat",
    "to_padded",
    "unpool",
]
