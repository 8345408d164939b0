"""On a GPU nothing is read back; tried there, and on the CPU by forbidding looks."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from graphs import ZOO, Sample, pool
from pyg_diffpool import _modes, dense_diff_pool, diff_pool, to_padded

FIELDS = ["x", "adj", "mask", "assignment", "link_loss", "entropy_loss"]
READING = {"_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2"}


class NoReading(TorchDispatchMode):
    """Refuses every operation that would have to wait for a device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = func.name().split("::")[1].split(".")[0]
        masks = [
            t
            for t in (args[1] if name in ("index", "index_put", "index_put_") else [])
            if t is not None and t.dtype == torch.bool
        ]
        if name in READING or masks:
            raise AssertionError(f"{func.name()} reads a value back")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_modes, "may_read_values", lambda _: False)
    with NoReading():
        yield


def test_reading_is_noticed() -> None:
    with NoReading(), pytest.raises(AssertionError, match="reads a value back"):
        torch.ones(3).sum().item()
    with NoReading(), pytest.raises(AssertionError, match="reads a value back"):
        torch.ones(3)[torch.ones(3, dtype=torch.bool)]


@pytest.mark.parametrize("name", ["ordinary", "weighted", "unsorted edges"])
def test_the_sparse_backend_reads_nothing(name: str, request: Any) -> None:
    sample = ZOO[name]
    expected = pool(sample)
    request.getfixturevalue("unreadable")
    s = sample.s.clone().requires_grad_()
    sample = replace(sample, s=s)
    out = pool(sample, num_clusters=torch.full((sample.batch_size,), 4))
    (out.x.sum() + out.adj.sum() + out.link_loss + out.entropy_loss).backward()
    for field in FIELDS:
        assert getattr(out, field).shape == getattr(expected, field).shape


@pytest.mark.parametrize("name", ["ordinary", "weighted", "unsorted edges"])
def test_the_results_are_the_same_without_looks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = pool(ZOO[name])
    monkeypatch.setattr(_modes, "may_read_values", lambda _: False)
    out = pool(ZOO[name])
    for field in FIELDS:
        torch.testing.assert_close(getattr(out, field), getattr(expected, field))


@pytest.mark.usefixtures("unreadable")
def test_padding_reads_nothing_when_sizes_are_given() -> None:
    sample = ZOO["weighted"]
    out = to_padded(
        sample.x,
        sample.edge_index,
        sample.batch,
        sample.edge_weight,
        max_num_nodes=8,
        batch_size=3,
    )
    assert out.adj.shape == (3, 8, 8)


@pytest.mark.usefixtures("unreadable")
def test_dense_pooling_reads_nothing() -> None:
    x, adj, s = torch.randn(2, 4, 3), torch.rand(2, 4, 4), torch.randn(2, 4, 2)
    mask = torch.ones(2, 4, dtype=torch.bool)
    dense_diff_pool(x, adj, s, mask)
    assert diff_pool(x, adj, s, mask=mask).x.shape == (2, 2, 3)


def test_too_large_a_graph_fails_on_the_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_modes, "may_read_values", lambda _: False)
    sample = ZOO["ordinary"]
    with pytest.raises(RuntimeError, match="more than 'max_num_nodes'"):
        to_padded(sample.x, sample.edge_index, sample.batch, max_num_nodes=6)


@pytest.mark.parametrize("backend", ["sparse", "padded"])
def test_the_number_of_operations_does_not_grow_with_the_graphs(backend: str) -> None:
    class Counting(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.count += 1
            return func(*args, **(kwargs or {}))

    counts = []
    for num_graphs in (2, 50):
        torch.manual_seed(0)
        n = 4 * num_graphs
        batch = torch.arange(num_graphs).repeat_interleave(4)
        edge_index = torch.stack([torch.arange(n), torch.arange(n) // 4 * 4])
        with Counting() as mode:
            s = torch.randn(n, 3, requires_grad=True)
            x = torch.randn(n, 2)
            out = diff_pool(x, edge_index, s, batch=batch, backend=backend)
            (out.x.sum() + out.adj.sum() + out.link_loss + out.entropy_loss).backward()
        counts.append(mode.count)
    assert counts[0] == counts[1] > 0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ZOO)
def test_on_a_gpu(name: str) -> None:
    def move(sample: Sample) -> Sample:
        weight = sample.edge_weight
        return Sample(
            sample.x.cuda(),
            sample.edge_index.cuda(),
            sample.s.cuda().requires_grad_(),
            sample.batch.cuda(),
            sample.batch_size,
            None if weight is None else weight.cuda(),
        )

    sample, expected = move(ZOO[name]), pool(ZOO[name])
    pool(sample)  # what is loaded on first use may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = pool(sample)
        (out.x.sum() + out.link_loss + out.entropy_loss).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for field in FIELDS:
        torch.testing.assert_close(getattr(out, field).cpu(), getattr(expected, field))
