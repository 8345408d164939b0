"""Launches of kernels that Triton need not look at again.

In each launch Triton tells type and alignment of every argument, and the driver where
each tensor lies, which takes several times as long as the launch; small mini-batches
wait for that. What was compiled for arguments of the same kind is launched as it is.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import triton
from torch import Tensor

_KNOWN = tuple(int(part) for part in triton.__version__.split(".")[:2]) >= (3, 6)


class Launcher:
    """Launches for arguments of one kind."""

    def __init__(self) -> None:
        self._compiled: dict[str, tuple[Any, tuple[Any, ...]]] = {}

    def __call__(
        self, kernel: Any, grid: tuple[int, ...], *args: Any, **constants: Any
    ) -> None:
        """Launch it, by what was compiled of it before, if anything was."""
        name = kernel.__name__
        if name not in self._compiled:
            made = kernel[grid](*args, **constants)
            if _KNOWN and isinstance(made, triton.compiler.CompiledKernel):
                names = (n for n in kernel.arg_names if n in constants)
                self._compiled[name] = made, tuple(constants[n] for n in names)
            return
        made, order = self._compiled[name]
        given = [a.data_ptr() if isinstance(a, Tensor) else a for a in args]
        made[(*grid, 1, 1)[:3]](*given, *order)


def cdiv(size: int, part: int) -> int:
    """How many parts there are; Triton's own takes some microseconds."""
    return -(-size // part)


def variant(size: int) -> int:
    """Which of the variants that Triton compiles is for this size."""
    return 1 if size == 1 else 16 if size % 16 == 0 else 0


_launcher = lru_cache(maxsize=None)(lambda *_: Launcher())


def launcher(
    kind: tuple[Any, ...], given: Iterable[Tensor | None], sizes: Iterable[int]
) -> Launcher:
    """The one for arguments of this kind.

    Args:
        kind: Which kernels these are, their device, all that decides on their constants
            and on which tensors that are made for them are `None`, and those sizes of
            which variants are compiled.
        given: The tensors that were not made for the launch: of any dtype, beginning
            anywhere, or `None`.
        sizes: Of which no variants are compiled, but that may need 64 bits.
    """
    bits, dtypes = 0, []
    for tensor in given:
        dtypes.append(None if tensor is None else tensor.dtype)
        bits |= 0 if tensor is None else tensor.data_ptr()
    if bits % 16 or max(sizes) >= 2**31:
        return Launcher()
    return _launcher(*kind, *dtypes)
