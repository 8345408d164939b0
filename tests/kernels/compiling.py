"""Compile, without a GPU, whatever the operator launches, and say what each takes.

Run by itself, so that Triton's interpreter is off: `python compiling.py 90 [all]`.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from itertools import product
from types import SimpleNamespace
from typing import Any

import torch
import triton
from triton import knobs
from triton.backends.compiler import GPUTarget

from pyg_diffpool import (
    _triton,
    _triton_edges,
    _triton_level,
    _triton_losses,
    _triton_norm,
)

# Each power of two, whole and not, since Triton tells multiples of 16 apart.
CLUSTERS, CHANNELS = [1, 16, 20, 32, 50, 64, 100, 128], [64, 300]
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
FEW = {80: (16, 64, torch.float32), 90: (100, 300, torch.bfloat16)}


class Recorder:
    """Compiles in place of each launch."""

    def __init__(self, kernel: Any, arch: int, found: dict[str, Any]) -> None:
        self.kernel, self.arch, self.found = kernel, arch, found
        self.__name__ = kernel.__name__

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def compile_it(*args: Any, **constants: Any) -> None:
            made = self.kernel.warmup(*args, grid=grid, **constants)
            ptx = made.asm["ptx"]
            if ptx not in self.found:
                name = made.metadata.name
                report = {"kernel": name, "arch": self.arch, "constants": constants}
                report |= usage(made.asm["cubin"]) | {"shared": made.metadata.shared}
                report["is_wide"] = "wgmma" in ptx  # a product of 64 rows
                self.found[ptx] = report

        return compile_it


def usage(cubin: bytes) -> dict[str, int]:
    """Registers of a thread, and the bytes that do not fit into them."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [knobs.nvidia.cuobjdump.path, "--dump-resource-usage", file.name]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
    found = dict(re.findall(r"(REG|STACK|LOCAL):(\d+)", told.stdout))
    spilled = int(found["STACK"]) + int(found["LOCAL"])
    return {"registers": int(found["REG"]), "spilled": spilled}


def pretend(arch: int) -> None:
    """To Triton, a device of this kind."""
    device = SimpleNamespace(
        get_current_target=lambda: GPUTarget("cuda", arch, 32),
        get_current_device=lambda: arch,
        get_current_stream=lambda _=None: 0,
    )
    triton.runtime.driver.set_active(device)


def launch(k: int, c: int, dtype: torch.dtype) -> None:
    """All kernels, in both forms, with every gradient and with none."""
    n, e = 7, 9
    x, logits = torch.randn(n, c, dtype=dtype), torch.randn(n, k, dtype=dtype)
    edges, ptr = torch.zeros(2, e, dtype=torch.long), torch.tensor([0, 3, 7])
    row, col, *_, value = _triton_edges.sort_edges(edges, n, torch.float)
    _triton_edges.group_nodes(torch.zeros(n, dtype=torch.long), 1)
    ones, one, number = torch.ones(c), torch.ones(()), torch.ones(()).long()
    moments = ones, ones, torch.ones(n), ones, ones, number, one > 0, one
    out, rest, scale = _triton_norm.norm(x.float(), *moments, momentum=0.1, eps=1e-5)
    _triton_norm.norm_gradients(out, ones, torch.ones(n), rest, scale)
    divisors, mask = torch.ones(2, dtype=torch.double), torch.ones(2, 7).bool()
    adj = torch.zeros(2, 7, 7, dtype=dtype)
    run, rest = _triton_level, (divisors, torch.float)
    for weight, gradient in ((value, True), (None, False)):
        made = run.sparse_forward(x, weight, logits, *rest, gradient, ptr, row, col)
    kept = made.s, made.gram, made.y, made.y, made.norm
    grads = [made.x, made.adj, made.s, *made[3:6]]
    for given in (grads, [None, None, None, made.link_loss, None, None]):
        for needs in ((True,) * 3, (True, False, True)):
            run.gradients(x, kept, divisors, needs, given, ptr)
    x, logits = x.expand(2, n, c), logits.expand(2, n, k)
    for real in (mask, None):
        made = run.dense_forward(x, adj, logits, real, *rest, True, True)
        kept = made.s, made.gram, made.y, made.w, made.norm
        grads = [made.x, made.adj, made.s, *made[3:6]]
        run.gradients(x, kept, divisors, (True,) * 3, grads, None, real)


def main(arch: int, cases: Iterable[tuple[int, int, torch.dtype]]) -> None:
    """Print what ptxas says of every kernel, as JSON."""
    pretend(arch)
    found: dict[str, Any] = {}
    for module in (_triton, _triton_losses, _triton_edges, _triton_norm):
        for name, kernel in list(vars(module).items()):
            if name.endswith("_kernel"):
                setattr(module, name, Recorder(kernel, arch, found))
    for k, c, dtype in cases:
        launch(k, c, dtype)
    sys.stdout.write(json.dumps(list(found.values())))


if __name__ == "__main__":
    everything = product(CLUSTERS, CHANNELS, DTYPES)
    arch = int(sys.argv[1])
    main(arch, everything if "all" in sys.argv else [FEW[arch]])
