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
_MAX_CHANNELS = 512  # of a row that is summed at once


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
    norm: Tensor  # [], float64


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
    kept = (
        square(),
        new(rows),
        new(rows if gradient else 0),
        new((), dtype=torch.double),
    )
    return KernelLevel(out_x, square(), s, scalar(), scalar(), *kept)


def runs_level(x: Tensor, num_clusters: int) -> bool:
    """Whether a level of these features and so many clusters goes to the kernels."""
    fits = x.dtype in _DTYPES and num_clusters <= _MAX_CLUSTERS
    return fits and runs_on(x)


def runs_sums(x: Tensor) -> bool:
    """Whether sums of these rows over edges, in no order, go to the kernels."""
    fits = x.dtype in _DTYPES and x.size(1) <= _MAX_CHANNELS
    return fits and not torch.are_deterministic_algorithms_enabled() and runs_on(x)


def runs_on(like: Tensor) -> bool:
    """Whether the kernels, seen to be right, run on this tensor's device."""
    return _modes.may_launch(like) and _is_right(str(like.device))


@lru_cache
def kernels(name: str = "_triton_level") -> Any:
    """A module that is imported at the first use: the kernels, or what uses them."""
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
    """Pool two graphs in both forms, with gradients, by kernels and by torch."""
    to: Any = {"device": device, "dtype": torch.float}
    mask = torch.tensor([[True, True, True], [True, True, False]], device=device)
    x = torch.arange(18, **to).view(2, 3, 3).sin()
    logits = torch.arange(12, **to).view(2, 3, 2).cos()
    entries = [[[0, 2, 0], [0, 0, 1], [1, 0, 0]], [[0, 1, 0], [0] * 3, [0] * 3]]
    edges = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 0, 4, 1]], device=device)  # one twice
    sort = kernels("_triton_edges").sort_edges
    row, col, crow, *_, value = sort(edges, 5, torch.float)
    rest = torch.ones(2, dtype=torch.double, device=device), torch.float, True
    where = torch.tensor([0, 3, 5], device=device), row, col, crow
    sparse = x[mask], value, logits[mask], *rest, *where
    dense = x, torch.tensor(entries, **to), logits, mask, *rest, True
    for level, given in 2 * (  # the second time launched as they were compiled
        (kernels("_sparse_level")._SparseLevelByKernels, sparse),
        (kernels("_padded_level")._PaddedLevelByKernels, dense),
    ):
        inputs = [i.requires_grad_() if n < 3 else i for n, i in enumerate(given)]
        out, needs = level.forward(*inputs), [n < 3 for n in range(len(inputs))]
        ones = [torch.ones_like(result) for result in out[: level.results]]
        saved = _modes.Saved(inputs, [out[i] for i in level.keeps], needs, ones)
        found = *out[: level.results], *level.gradients(saved)
        right = *level.plain(*inputs), *_modes._plain_gradients(level.plain, saved)
        for one, other in zip(found, right, strict=False):  # of tf32 at the worst
            torch.testing.assert_close(one, other, rtol=5e-3, atol=5e-3)
