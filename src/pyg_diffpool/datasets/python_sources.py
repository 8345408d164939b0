"""Finding and reading the Python files that a data set is made from."""

import ast
import hashlib
import os
import platform
import sysconfig
import warnings
from collections.abc import Iterable
from pathlib import Path

from pyg_diffpool.datasets.syntax_tree import Function, function_definitions

SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
)
"""Folders whose files are no part of the library itself."""

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


def standard_library() -> Path:
    """Return the folder of the running interpreter's standard library."""
    return Path(sysconfig.get_paths()["stdlib"])


def source_files(folder: Path) -> list[Path]:
    """List the Python files below ``folder``, without :data:`SKIPPED_FOLDERS`.

    Args:
        folder: Where to look.

    Returns:
        The files, sorted by their path relative to ``folder``.

    Raises:
        ValueError: If ``folder`` is no folder or holds no Python file.
    """
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
        found.extend(Path(parent, name) for name in files if name.endswith(".py"))
    if not found:
        raise ValueError(
            f"expected Python files below {str(folder)!r}, found none; give a folder "
            f"of .py files as 'source' (an interpreter with a zipped or stripped "
            f"standard library has none)"
        )
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def fingerprint(folder: Path, files: Iterable[Path], *settings: str) -> str:
    """Name an interpreter and a set of files, to tell whether a cache still fits.

    Args:
        folder: The folder that paths are taken relative to.
        files: The files; their paths and sizes count.
        *settings: Anything else that the cached content depends on.

    Returns:
        Implementation, version and a digest, such as ``cpython-3.11.7-5f0c..``.
    """
    digest = hashlib.sha256("\0".join(settings).encode())
    for path in files:
        entry = f"\0{path.relative_to(folder).as_posix()}\0{path.stat().st_size}"
        digest.update(entry.encode("utf-8", "surrogateescape"))
    implementation = platform.python_implementation().lower()
    return f"{implementation}-{platform.python_version()}-{digest.hexdigest()[:12]}"


def module_name(folder: Path, path: Path) -> str:
    """Return the dotted name of the module at ``path``.

    Example:
        >>> module_name(Path("lib"), Path("lib/json/__init__.py"))
        'json'
    """
    parts = path.relative_to(folder).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and parts[1:] else parts)


def read_functions(path: Path) -> list[Function]:
    """Parse one file.

    Args:
        path: A Python file in any encoding that it declares.

    Returns:
        Its functions in source order; none if the interpreter cannot parse it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = ast.parse(path.read_bytes())
        except _UNREADABLE:
            return []
    return list(function_definitions(module))
