"""The CUDA kernels; without a GPU on the CPU, by Triton's interpreter."""

import pytest

from kernels.launching import DEVICE, Counted

MODULES = "_triton", "_triton_losses", "_triton_edges", "_triton_norm"


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Levels by the kernels; the name of each that is launched."""
    pytest.importorskip("triton", reason="Triton is for Linux")
    from pyg_diffpool import _engine, _modes, _triton_launch

    _triton_launch._launcher.cache_clear()  # or they would be launched unseen
    launched: list[str] = []
    for module in map(_engine.kernels, MODULES):
        for name, kernel in list(vars(module).items()):
            if name.endswith("_kernel"):
                monkeypatch.setattr(module, name, Counted(name, kernel, launched))
    monkeypatch.setattr(_modes, "KERNEL_DEVICES", {DEVICE})
    monkeypatch.setattr(_engine, "_passes", lambda _: True)
    return launched


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No value is read, as on a GPU."""
    from pyg_diffpool import _modes

    monkeypatch.setattr(_modes, "may_read_values", lambda _: False)
