"""Launches of what was compiled before: only for arguments of the same kind."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

triton = pytest.importorskip("triton", reason="Triton is for Linux")
_triton_launch = pytest.importorskip("pyg_diffpool._triton_launch")

X = torch.zeros(64)


class Compiled:
    """What Triton gives back, which notes how it is launched."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *args: self.log.append((grid, args))


class Kernel:
    """One that is compiled in each launch by way of Triton."""

    __name__ = "_some_kernel"
    arg_names = ("x", "size", "ROWS", "mask", "K")

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.compiled = 0

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def launch(*_: Any, **__: Any) -> Compiled:
            self.compiled += 1
            return Compiled(self.log)

        return launch


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(triton.compiler, "CompiledKernel", Compiled)
    monkeypatch.setattr(_triton_launch, "_KNOWN", True)
    _triton_launch._launcher.cache_clear()
    yield
    _triton_launch._launcher.cache_clear()


def launch(kernel: Kernel, kind: Any, x: Tensor, size: int = 3) -> None:
    run = _triton_launch.launcher(kind, (x, None), (size,))
    run(kernel, (5,), x, size, None, K=16, ROWS=8, num_warps=4)


def test_the_second_launch_is_of_what_was_compiled() -> None:
    kernel = Kernel()
    for size in (3, 70):
        launch(kernel, ("a",), X, size)
    assert kernel.compiled == 1
    # Addresses in place of tensors, constants in the order of the signature.
    assert kernel.log == [((5, 1, 1), (X.data_ptr(), 70, None, 8, 16))]


def test_not_for_other_kinds() -> None:
    kernel = Kernel()
    launch(kernel, ("a",), X)
    launch(kernel, ("a",), X.half())
    launch(kernel, ("b",), X)
    assert kernel.compiled == 3
    assert not kernel.log


@pytest.mark.parametrize(("x", "size"), [(X[1:], 3), (X, 2**31)])
def test_not_where_alignment_or_width_differs(x: Tensor, size: int) -> None:
    kernel = Kernel()
    for _ in range(3):
        launch(kernel, ("a",), X)
        launch(kernel, ("a",), x, size)
    assert kernel.compiled == 4
    assert {args[0] for _, args in kernel.log} == {X.data_ptr()}


def test_not_by_a_triton_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_triton_launch, "_KNOWN", False)
    kernel = Kernel()
    for _ in range(2):
        launch(kernel, ("a",), X)
    assert kernel.compiled == 2
