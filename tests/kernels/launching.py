"""Kernels that note their launches."""

import os
from typing import Any

import torch
from torch import Tensor

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":  # before Triton is imported
    os.environ.setdefault("TRITON_INTERPRET", "1")


def moved(given: dict[str, Any]) -> dict[str, Any]:
    """The same arguments where kernels run."""
    on_device = {n: v.to(DEVICE) for n, v in given.items() if isinstance(v, Tensor)}
    return given | on_device


class Counted:
    """One that notes its launches, and may be kept from doing more."""

    is_run = True

    def __init__(self, name: str, kernel: Any, launched: list[str]) -> None:
        self.__name__, self.kernel, self.launched = name, kernel, launched
        self.arg_names = getattr(kernel, "arg_names", ())

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        self.launched.append(self.__name__)
        return self.kernel[grid] if self.is_run else _nothing


def _nothing(*_: Any, **__: Any) -> None:
    pass
