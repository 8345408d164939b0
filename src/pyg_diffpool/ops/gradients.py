"""Gradients by hand, and what stands in for them where they are differentiated."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Gradients = tuple[Tensor | None, ...]
R = TypeVar("R")


def without_autocast(backward: Callable[..., R]) -> Callable[..., R]:
    """A backward of the forward's dtypes, though it may run in an autocast block."""

    @wraps(backward)
    def run(ctx: Any, *grads: Tensor | None) -> R:
        device = next((d.device.type for d in grads if d is not None), "cpu")
        if not torch.is_autocast_enabled(device):
            return backward(ctx, *grads)
        with torch.autocast(device, enabled=False):
            return backward(ctx, *grads)

    return run


def plain_gradients(
    function: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Tensor | None],
    needs: Sequence[bool],
    grads: Gradients,
) -> Gradients:
    """The gradients by way of `function`, which can be differentiated once more."""
    pairs = zip(function(*inputs), grads, strict=True)
    reached = [(o, d) for o, d in pairs if d is not None and o.requires_grad]
    if not reached:
        return (None,) * len(needs)
    out, given = zip(*reached, strict=True)
    wanted = [
        t for t, need in zip(inputs, needs, strict=True) if need and t is not None
    ]
    found = iter(
        torch.autograd.grad(out, wanted, given, create_graph=True, allow_unused=True)
    )
    return tuple(next(found) if need else None for need in needs)
