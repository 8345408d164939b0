"""The user's cache folder, and files in it that are whole or not there."""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_diffpool._files import UNREADABLE


def cache_folder() -> Path:
    r"""Return the folder in which data sets are kept between runs.

    It is ``$XDG_CACHE_HOME/pyg_diffpool``, or ``~/.cache/pyg_diffpool`` where that
    variable is unset or relative, and ``%LOCALAPPDATA%\pyg_diffpool`` on Windows.

    Returns:
        The folder. It is not created by this call.
    """
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    base = Path(os.environ.get(variable, ""))
    if not base.is_absolute():
        base = Path.home() / ".cache"
    return base / "pyg_diffpool"


def pack(data: Data) -> dict[str, Any]:
    """Turn collated graphs into plain containers, with indices as short as they fit.

    Args:
        data: What :meth:`InMemoryDataset.collate` gives.

    Returns:
        What :func:`unpack` takes; about a quarter of the bytes.

    Example:
        >>> packed = pack(Data(x=torch.tensor([[7]]), y=torch.tensor([70_000])))
        >>> packed["fields"]["x"].dtype, packed["fields"]["y"].dtype
        (torch.int16, torch.int32)
        >>> unpack(packed).y
        tensor([70000])
    """
    fields = data.to_dict()
    long = [k for k, v in fields.items() if getattr(v, "dtype", None) == torch.int64]
    return {"fields": fields | {k: _narrow(fields[k]) for k in long}, "long": long}


def unpack(packed: dict[str, Any]) -> Data:
    """Undo :func:`pack`."""
    fields = packed["fields"]
    return Data.from_dict(fields | {k: fields[k].long() for k in packed["long"]})


def _narrow(values: Tensor) -> Tensor:
    for dtype in (torch.int16, torch.int32):
        narrow = values.to(dtype)
        if torch.equal(narrow.long(), values):
            return narrow
    return values


def load_if_whole(path: Path, keys: frozenset[str]) -> dict[str, Any] | None:
    """Read a dictionary back, or answer ``None`` where it must be made again.

    Args:
        path: A file that :func:`~pyg_diffpool._files.save_whole` wrote.
        keys: The keys that the dictionary must have.

    Returns:
        The dictionary, or ``None`` if there is no file or (with a warning) if it
        cannot be read or lacks a key. Only tensors and plain containers are read
        (``weights_only``): a cache file cannot run code.

    Raises:
        PermissionError: If the file may not be read.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, weights_only=True)
    except PermissionError:
        raise
    except UNREADABLE:
        content = None
    if isinstance(content, dict) and keys <= content.keys():
        return content
    message = f"the cached data set {str(path)!r} is damaged and will be built again"
    warnings.warn(message, stacklevel=3)
    return None
