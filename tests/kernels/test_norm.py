"""Batch norm over rows of which some are padding: by the kernels as by torch."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import BatchNorm1d
from torch.testing import assert_close

from kernels.launching import DEVICE
from pyg_diffpool import _modes
from pyg_diffpool._minibatch import PaddedGraph
from pyg_diffpool.conv.norm import batch_norm

if DEVICE == "cuda":
    pytestmark = pytest.mark.cuda


def blocks(sizes: list[int]) -> PaddedGraph:
    """Graphs of so many nodes without edges."""
    m = max(sizes)
    mask = torch.arange(m) < torch.tensor(sizes).unsqueeze(1)
    adj = torch.zeros(len(sizes), m, m, device=DEVICE)
    return PaddedGraph(adj, mask.to(DEVICE))


def results(norm: BatchNorm1d, x: Tensor, graph: PaddedGraph) -> list[Tensor]:
    """Rows and running moments of two mini-batches, and gradients, also of these."""
    assert graph.mask is not None
    leaves = [x, *norm.parameters()]
    batch_norm(norm, graph, x - 1)
    out = batch_norm(norm, graph, x)[graph.mask.flatten()]
    loss = out.pow(3).sum()
    grads = torch.autograd.grad(loss, leaves, retain_graph=True)
    again = torch.autograd.grad(loss, leaves, create_graph=True)
    twice = torch.autograd.grad(again[0].square().sum(), leaves, allow_unused=True)
    found = [out, *norm.buffers(), *grads, *again, *twice]
    return [t.detach() for t in found if t is not None]


@pytest.mark.parametrize("channels", [1, 16, 37])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("sizes", [[4, 0, 2], [1, 0], [7] * 60], ids=str)
def test_as_by_torch(
    sizes: list[int],
    affine: bool,
    channels: int,
    kernels: list[str],
    monkeypatch: Any,
) -> None:
    graph, generator = blocks(sizes), torch.Generator().manual_seed(0)
    mask: Any = graph.mask
    x = torch.randn(mask.numel(), channels, generator=generator)
    made = []
    for devices in ({DEVICE}, set[str]()):
        monkeypatch.setattr(_modes, "KERNEL_DEVICES", devices)
        torch.manual_seed(1)
        norm = BatchNorm1d(channels, affine=affine, momentum=0.3).to(DEVICE)
        for parameter in norm.parameters():
            torch.nn.init.normal_(parameter)
        made.append(results(norm, x.to(DEVICE).requires_grad_(), graph))
    assert {*kernels} == {"_norm_kernel", "_norm_gradient_kernel"}
    largest = max(t.abs().max().item() for t in made[1])  # of a second derivative
    for i, (value, right) in enumerate(zip(*made, strict=True)):
        is_second = i >= 4 + 2 * len([x, *norm.parameters()])
        atol = 1e-6 * largest if is_second else 1e-4
        assert_close(value, right, rtol=1e-4, atol=atol)


@pytest.mark.parametrize(("momentum", "step"), [(1, 1), (0.3, 1), (0.3, 2)])
@pytest.mark.parametrize("sizes", [[4, 0, 2], [1, 0]], ids=str)
def test_moments_that_change_before_the_gradient(
    sizes: list[int],
    momentum: float,
    step: int,
    kernels: list[str],
    monkeypatch: Any,
) -> None:
    graph, generator = blocks(sizes), torch.Generator().manual_seed(0)
    mask: Any = graph.mask
    others = blocks([3, 3])
    rows, other = (torch.randn(n, 5, generator=generator) for n in (mask.numel(), 6))
    made = []
    for devices in ({DEVICE}, set[str]()):
        monkeypatch.setattr(_modes, "KERNEL_DEVICES", devices)
        norm = BatchNorm1d(5, momentum=momentum).to(DEVICE)
        weight = torch.arange(1.0, 11, device=DEVICE)[: 5 * step : step]
        norm.weight = torch.nn.Parameter(weight)
        x = rows.to(DEVICE).requires_grad_()
        out = batch_norm(norm, graph, x)[mask.flatten()].pow(3).sum()
        before = norm.running_mean._version  # type: ignore[union-attr]
        batch_norm(norm, others, 5 + other.to(DEVICE))
        assert norm.running_mean._version > before  # type: ignore[union-attr]
        moments = [buffer.clone() for buffer in norm.buffers()]
        norm.reset_running_stats()
        first = torch.autograd.grad(out, x, create_graph=True)
        again = torch.autograd.grad(first[0].square().sum(), x, retain_graph=True)
        made.append([*first, *again, *torch.autograd.grad(out, x), *moments])
    assert bool(kernels) == (step == 1)  # which take no strided weights
    for value, right in zip(*made, strict=True):
        assert_close(value, right, rtol=1e-3, atol=1e-3)
