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
    m, generator = max(sizes), torch.Generator().manual_seed(0)
    mask = (torch.arange(m) < torch.tensor(sizes).unsqueeze(1)).to(DEVICE)
    graph = PaddedGraph(torch.zeros(len(sizes), m, m, device=DEVICE), mask)
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
