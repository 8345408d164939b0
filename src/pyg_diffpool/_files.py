"""Files that are whole or not there."""

import io
import os
import pickle
import uuid
from pathlib import Path
from typing import Any

import torch

# What torch.load raises of a file that is damaged or of another kind.
UNREADABLE = (
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    ValueError,
    pickle.UnpicklingError,
)


def save_whole(content: Any, path: Path) -> None:
    """Write what :func:`torch.save` accepts by :func:`write_whole`."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getbuffer())


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that it never holds a part of the content.

    The bytes go to a neighbouring file, onto the disk, and that file then replaces
    ``path`` in one step: a killed process or a full disk leaves the old file, and of
    two processes that write the same file the last one wins.

    Args:
        path: The file to write. Its folder is created.
        content: All of it.

    Raises:
        OSError: If it cannot be written; tells why, and keeps the error's number.
    """
    if path.exists() and not path.is_file():  # a pipe or /dev/stdout stays what it is
        path.write_bytes(content)
        return
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        before = "What was there before is kept. " if path.exists() else ""
        raise OSError(
            error.errno,
            f"Expected to write {len(content):,} bytes to '{path}' (got: "
            f"{error.strerror}). {before}Free space, or choose another folder",
        ) from error
    finally:
        _remove(part)


def _remove(part: Path) -> None:
    try:
        part.unlink(missing_ok=True)
    except OSError:
        return  # its folder cannot be written either, which has been said
