"""What only a GPU can show: nothing waits for it, and CUDA graphs can be captured."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch_geometric.nn import GraphSAGE

from graphs import ZOO, flat, layer_arguments, padded
from kernels.launching import moved
from pyg_diffpool import DiffPoolNet, diff_pool

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


class Pooling(torch.nn.Module):
    """The operator on arguments of which only `x` and `s` change."""

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.given = given

    def forward(self, x: Tensor, s: Tensor) -> tuple[Tensor, ...]:
        out = diff_pool(x, s=s, **self.given)
        return out.x, out.adj, out.link_loss, out.entropy_loss


@pytest.mark.parametrize("form", [flat, padded])
def test_capture(form: Any) -> None:
    given = moved(form(ZOO["undirected"].to(torch.float)))
    x, s = (given.pop(name).requires_grad_() for name in ("x", "s"))
    pooling = Pooling(**given)
    expected = [t.detach().clone() for t in pooling(x, s)]
    captured = torch.cuda.make_graphed_callables(pooling, (x, s))
    out = captured(x, s)
    torch.testing.assert_close([t.detach() for t in out], expected)
    grads = torch.autograd.grad(sum(t.sum() for t in out), (x, s))
    right = torch.autograd.grad(sum(t.sum() for t in pooling(x, s)), (x, s))
    torch.testing.assert_close(grads, right)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_training_step_does_not_wait(dtype: torch.dtype) -> None:
    given = moved(layer_arguments(ZOO["undirected"].to(dtype)))
    net = DiffPoolNet(3, 8, 2, [4, 2], ratio=0.5, gnn=GraphSAGE).to("cuda", dtype)
    optimizer = torch.optim.Adam(net.parameters(), capturable=True)
    y = torch.tensor([0, 1, 1], device="cuda")
    for mode in ("default", "default", "error"):  # what is loaded at first may wait
        torch.cuda.set_sync_debug_mode(mode)
        try:
            out = net(**given)
            (cross_entropy(out.out.float(), y) + out.auxiliary_loss).backward()
            optimizer.step()
            optimizer.zero_grad()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert out.out.isfinite().all()


def test_an_index_out_of_range_stops_the_device() -> None:
    """In a process of its own, since the device is lost to it."""
    import subprocess
    import sys

    program = """
import torch
from pyg_diffpool import diff_pool
x = torch.randn(4, 3, device="cuda")
adj = torch.tensor([[0, 9], [1, 0]], device="cuda")
diff_pool(x, adj, x)
torch.cuda.synchronize()
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "'edge_index' from 0" in done.stdout + done.stderr
