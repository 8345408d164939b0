"""When the kernels are used, and what happens where they are not right."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from graphs import ZOO, flat, leaves, padded
from pyg_diffpool import _engine, _modes, _sparse_level, diff_pool
from pyg_diffpool._graph import make_graph
from pyg_diffpool._padded_level import padded_level

GIVEN = flat(ZOO["ordinary"].to(torch.float))


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kernels that have not been seen to be right."""
    pytest.importorskip("triton", reason="Triton is for Linux")
    _engine._passes.cache_clear()
    monkeypatch.setattr(_modes, "KERNEL_DEVICES", {"cpu"})
    yield
    _engine._passes.cache_clear()


def sparse(**options: Any) -> Any:
    return diff_pool(**GIVEN, backend="sparse", **options)


def test_the_environment_turns_them_off(kernels: list[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("PYG_DIFFPOOL_TRITON", "0")
    sparse()
    assert not kernels
    monkeypatch.setenv("PYG_DIFFPOOL_TRITON", "1")
    sparse()
    assert kernels


@pytest.mark.parametrize(
    ("k", "dtype"), [(129, torch.float), (4, torch.double)], ids=["wide", "float64"]
)
def test_what_they_do_not_do(k: int, dtype: torch.dtype, kernels: list[str]) -> None:
    given = flat(ZOO["ordinary"].to(dtype)) | {"s": torch.randn(15, k, dtype=dtype)}
    assert diff_pool(**given, backend="sparse").x.shape == (3, k, 3)
    assert "_contract_kernel" not in kernels


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["sparse_forward", "dense_forward", "gradients"])
@pytest.mark.parametrize("which", [0, 1])
def test_the_first_use_is_checked(
    name: str, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _engine.runs_level(GIVEN["x"], 4)
    assert _engine._passes.cache_info().misses == 1
    _engine._passes.cache_clear()
    run = _engine.kernels()
    right = getattr(run, name)

    def wrong(*args: Any) -> list[torch.Tensor]:
        return [2 * t if i == which else t for i, t in enumerate(right(*args))]

    monkeypatch.setattr(run, name, wrong)
    with pytest.warns(UserWarning, match="not used on cpu: Tensor-likes are not close"):
        assert not _engine.runs_level(GIVEN["x"], 4)
    assert sparse().x.shape == (3, 4, 3)  # and warns no more


@pytest.mark.usefixtures("unchecked")
def test_without_triton_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_triton", "_triton_losses", "_triton_level", "_triton_edges"):
        monkeypatch.delitem(sys.modules, f"pyg_diffpool.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    assert not _engine.runs_level(GIVEN["x"], 4)
    torch.testing.assert_close(sparse().adj, diff_pool(**GIVEN).adj)


def test_results_in_the_shapes_of_a_level_without_values(kernels: list[str]) -> None:
    sample = ZOO["weighted"].to(torch.float)
    ptr = torch.tensor([0, 5, 8, 15])
    graph = make_graph(sample.edge_index, sample.edge_weight, ptr, 15, torch.float)
    where = ptr, graph.row, graph.col, graph.crow
    rest = torch.ones(2).double(), torch.float, True, *where
    given = sample.x, graph.weight, sample.s, *rest
    shapes = []
    for device in ("cpu", "meta"):
        moved = [t.to(device) if isinstance(t, torch.Tensor) else t for t in given]
        moved[:3] = (t.requires_grad_() for t in moved[:3])
        out = _sparse_level._level_by_kernels(*moved)
        grads = torch.autograd.grad([o.sum() for o in out], moved[:3])
        shapes.append([(t.shape, t.dtype) for t in (*out, *grads)])
    assert shapes[0] == shapes[1]
    assert kernels


@pytest.mark.parametrize("form", [flat, padded])
def test_compiled(form: Any, kernels: list[str]) -> None:
    given = leaves(form(ZOO["ordinary"].to(torch.float)))

    def step(**given: Any) -> torch.Tensor:
        out = diff_pool(**given)
        return (out.x.square().sum() + out.adj.sin().sum()) * out.link_loss

    expected = torch.autograd.grad(step(**given), (given["x"], given["s"]))
    compiled = torch.compile(step, fullgraph=True, dynamic=True, backend="aot_eager")
    kernels.clear()
    found = torch.autograd.grad(compiled(**given), (given["x"], given["s"]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert bool(kernels) == (form is flat)  # compilers fuse the padded formula


def test_autocast_leaves_padded_blocks_to_torch(kernels: list[str]) -> None:
    given = padded(ZOO["ordinary"].to(torch.float))
    ones = torch.ones(2).double()
    args = given["x"], given["adj"], given["s"], given["mask"], ones, torch.float
    kernels.clear()
    with torch.autocast("cpu", torch.bfloat16):
        padded_level(*args)
    assert not kernels


@pytest.mark.parametrize("form", [flat, padded])
def test_transforms_take_the_plain_formula(form: Any, kernels: list[str]) -> None:
    given = form(ZOO["ordinary"].to(torch.float))

    def value(s: torch.Tensor) -> torch.Tensor:
        out = diff_pool(**{**given, "s": s})
        return out.x.square().sum() * out.link_loss

    s = given["s"]
    expected = torch.autograd.functional.jacobian(value, s)
    kernels.clear()
    torch.testing.assert_close(torch.func.grad(value)(s), expected)
    _, tangent = torch.func.jvp(value, (s,), (torch.ones_like(s),))
    torch.testing.assert_close(tangent, expected.sum())
    assert not {"_contract_kernel", "_gradient_kernel"} & {*kernels}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("mode", ["autocast", "inference_mode", "default dtype"])
def test_the_first_use_may_be_in_any_mode(mode: str) -> None:
    before = torch.get_default_dtype()
    try:
        if mode == "default dtype":
            torch.set_default_dtype(torch.double)
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=mode == "autocast"),
            torch.inference_mode(mode == "inference_mode"),
        ):
            assert _engine.runs_level(GIVEN["x"], 4)
    finally:
        torch.set_default_dtype(before)
