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
        with (
            _disable_current_modes(),
            torch.inference_mode(False),
            torch.no_grad(),
            _modes.without_autocast(torch.device(device).type),
        ):
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
    """Pool two graphs in both forms, with gradients, and by the textbook's formula."""
    run, to, dtype = kernels(), torch.device(device), torch.float
    mask = torch.tensor([[True, True, True], [True, True, False]], device=to)
    x = torch.arange(18, device=to, dtype=dtype).view(2, 3, 3).sin()
    logits = torch.arange(12, device=to, dtype=dtype).view(2, 3, 2).cos()
    entries = [[[0, 2, 0], [0, 0, 1], [1, 0, 0]], [[0, 1, 0], [0] * 3, [0] * 3]]
    adj = torch.tensor(entries, device=to, dtype=dtype)
    edges = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 0, 4, 1]], device=to)  # one twice
    ptr = torch.tensor([0, 3, 5], device=to)
    row, col, *_, value = kernels("_triton_edges").sort_edges(edges, 5, dtype)
    divisors = torch.ones(2, dtype=torch.double, device=to)
    where = dtype, True, ptr, row, col
    sparse = run.sparse_forward(x[mask], value, logits[mask], divisors, *where)
    dense = run.dense_forward(x, adj, logits, mask, divisors, dtype, True, True)
    right = _textbook(x, adj, logits, mask)
    flat = [r[mask] if i in (2, 6, 7) else r for i, r in enumerate(right)]
    for made, z, expected, given in (
        (sparse, x[mask], flat, (ptr,)),
        (dense, x, right, (None, mask)),
    ):
        ones = [None if i == 2 else torch.ones_like(r) for i, r in enumerate(made[:6])]
        saved = made.s, made.gram, made.y, made.w, made.norm
        needs = True, False, True
        found = *made[:6], *run.gradients(z, saved, divisors, needs, ones, *given)[:2]
        for one, other in zip(found, expected, strict=True):  # of tf32 at the worst
            torch.testing.assert_close(one, other, rtol=5e-3, atol=5e-3)


@torch.enable_grad()
def _textbook(
    x: Tensor, adj: Tensor, logits: Tensor, mask: Tensor
) -> tuple[Tensor, ...]:
    """X', A', S, both sums of losses, G, and the gradients of their sum."""
    leaves = x.clone().requires_grad_(), logits.clone().requires_grad_()
    real = mask.unsqueeze(-1)
    z, s = leaves[0] * real, leaves[1].softmax(-1) * real
    pooled = s.mT @ z, s.mT @ adj @ s
    link, gram = (adj - s @ s.mT).norm(), s.mT @ s
    entropy = -(s * s.clamp(min=1e-30).log()).sum()
    total = torch.stack([t.sum() for t in (*pooled, link, entropy, gram)]).sum()
    found = torch.autograd.grad(total, leaves)
    results = *pooled, s, link, entropy, gram
    return *(r.detach() for r in results), *found
