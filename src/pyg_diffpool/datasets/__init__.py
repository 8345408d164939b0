"""A data set that needs no download."""

from pyg_diffpool.datasets.python_functions import PythonFunctions

__all__ = ["PythonFunctions"]
