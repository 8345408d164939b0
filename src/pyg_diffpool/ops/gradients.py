"""Gradients by hand, and what stands in for them where they are differentiated."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Gradients = tuple[Tensor | None, ...]


def plain_gradients(
    function: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Tensor | None],
    needs: Sequence[bool],
    grads: Gradients,
) -> Gradients:
    """The gradients by way of `function`, which can be differentiated once more."""
    pairs = zip(function(*inputs), grads, strict=True)
    out, given = zip(*((o, d) for o, d in pairs if d is not None), strict=True)
    wanted = [
        t for t, need in zip(inputs, needs, strict=True) if need and t is not None
    ]
    found = iter(
        torch.autograd.grad(out, wanted, given, create_graph=True, allow_unused=True)
    )
    return tuple(next(found) if need else None for need in needs)
