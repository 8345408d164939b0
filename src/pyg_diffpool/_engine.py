"""Whether the CUDA kernels are to be used: there, not turned off, and seen to be right.

`triton` comes with torch's CUDA builds and is imported only here, at the first use on a
device, where one tiny mini-batch is pooled by the kernels and by torch.
"""

import os
import warnings
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from pyg_diffpool import _modes

_DTYPES = torch.float32, torch.float16, torch.bfloat16
_MAX_CLUSTERS = 128  # beyond, registers spill


class KernelLevel(NamedTuple):
    """A level by the kernels, with what its gradients want."""

    x: Tensor  # [B, K, C], float32
    adj: Tensor  # [B, K, K], float32
    s: Tensor  # [N, K] or [B, M, K]
    link_loss: Tensor  # []
    entropy_loss: Tensor  # []
    gram: Tensor  # [B, K, K], float32
    y: Tensor  # as s, float32
    w: Tensor  # as s, float32, or empty where no gradient is wanted
    norm: Tensor  # [2], float64, and whether its terms cancel


def new_level(
    x: Tensor,  # [..., C]
    logits: Tensor,  # [..., K]
    num_graphs: int,
    dtype: torch.dtype,  # of the losses
    gradient: bool,
) -> KernelLevel:
    """One to be filled in."""
    k, rows = logits.size(-1), logits.shape
    new = partial(x.new_empty, dtype=torch.float)
    square, scalar = partial(new, (num_graphs, k, k)), partial(new, (), dtype=dtype)
    out_x, s = new((num_graphs, k, x.size(-1))), x.new_empty(rows)
    kept = square(), new(rows), new(rows if gradient else 0), new(2, dtype=torch.double)
    return KernelLevel(out_x, square(), s, scalar(), scalar(), *kept)


def runs_level(x: Tensor, num_clusters: int) -> bool:
    """Whether a level of these features and so many clusters goes to the kernels."""
    fits = x.dtype in _DTYPES and num_clusters <= _MAX_CLUSTERS
    return fits and runs_on(x)


def runs_on(like: Tensor) -> bool:
    """Whether the kernels, seen to be right, run on this tensor's device."""
    return _modes.may_launch(like) and _is_right(str(like.device))


def kernels(name: str = "_triton_level") -> Any:
    """The module of the kernels, or of those for edges."""
    return import_module(f"pyg_diffpool.{name}")


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _is_right(device: str) -> bool:
    if os.environ.get("PYG_DIFFPOOL_TRITON", "1") in ("", "0"):
        return False
    return _passes(device)


@lru_cache
def _passes(device: str) -> bool:
    try:
        with _disable_current_modes(), torch.no_grad():
            _compare(device)
    except ImportError:
        return False
    except Exception as error:
        warnings.warn(
            f"Triton's kernels are not used on {device}: {error}. Torch's own "
            "operations are, which gives the same results and takes longer.",
            stacklevel=2,
        )
        return False
    return True


def _compare(device: str) -> None:
    """One pooling and its gradients by the kernels and by the textbook's formula."""
    run = kernels()
    to: Any = {"device": device}
    edges = torch.tensor([[0, 1, 2, 3, 3, 0], [1, 2, 0, 4, 4, 1]], **to)
    x = torch.arange(15.0, **to).view(5, 3).sin()
    logits = torch.arange(10.0, **to).view(5, 2).cos()
    ptr, divisors = torch.tensor([0, 3, 5], **to), torch.ones(2, **to).double()
    row, col, *_, value = kernels("_triton_edges").sort_edges(edges, 5, torch.float)
    rest = divisors, torch.float, True, ptr, row, col
    made = run.sparse_forward(x, value, logits, *rest)
    ones = [None if i == 2 else torch.ones_like(r) for i, r in enumerate(made[:6])]
    saved = made.s, made.gram, made.y, made.w, made.norm
    given = divisors, (True, False, True), ones, ptr
    found = [*made[:6], *run.gradients(x, saved, *given)[:2]]
    with torch.enable_grad():
        x, logits = x.requires_grad_(), logits.requires_grad_()
        s = logits.softmax(-1)
        adj = torch.zeros(5, 5, **to).index_put((row, col), value, accumulate=True)
        apart = torch.tensor([0, 0, 0, 1, 1], **to)
        apart = apart.unsqueeze(1) != apart
        each = [(s[a:b], x[a:b], adj[a:b, a:b]) for a, b in ((0, 3), (3, 5))]
        out_x = torch.stack([s.mT @ z for s, z, _ in each])
        out_adj = torch.stack([s.mT @ a @ s for s, _, a in each])
        gram = torch.stack([s.mT @ s for s, _, _ in each])
        link = (adj - s @ s.mT).masked_fill(apart, 0).norm()
        entropy = -(s * s.log()).sum()
        total = out_x.sum() + out_adj.sum() + link + entropy + gram.sum()
        wanted = torch.autograd.grad(total, (x, logits))
    expected = (out_x, out_adj, s, link, entropy, gram, *wanted)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-4, atol=1e-4)
