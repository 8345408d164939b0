"""Every tensor of every function made wrong in every way: the error is ours."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from graphs import BACKENDS, Arguments, flat, layer_arguments, padded, sample
from pyg_diffpool import (
    DiffPool,
    DiffPoolNet,
    dense_diff_pool,
    diff_pool,
    readout,
    to_flat,
    to_padded,
    unpool,
)


def entry(value):
    """Put a value into the middle of a tensor."""

    def change(tensor):
        out = tensor.clone(memory_format=torch.contiguous_format)
        out.view(-1)[out.numel() // 2] = value
        return out

    return change


Ways = dict[str, Callable[[Tensor], Any]]
NO_TENSOR: Ways = {
    "a list": lambda t: t.tolist(),
    "an array": lambda t: t.numpy(),
    "a string": lambda _: "x",
    "a number": lambda _: 1,
}
WAYS: dict[torch.dtype, Ways] = {
    torch.double: {
        **NO_TENSOR,
        "integer": lambda t: t.long(),
        "boolean": lambda t: t > 0,
        "complex": lambda t: t.to(torch.complex64),
        "no dimension": lambda t: t.sum(),
        "one dimension": lambda t: t.flatten() if t.dim() > 1 else t.sum(),
        "four dimensions": lambda t: t[(None,) * (4 - t.dim())],
        "a row more": lambda t: torch.cat([t, t[:1]]),
        "a row less": lambda t: t[1:],
        "another dtype": lambda t: t.float(),
    },
    torch.long: {
        **NO_TENSOR,
        "int32": lambda t: t.int(),
        "boolean": lambda t: t > 0,
        "complex": lambda t: t.to(torch.complex64),
        "negative": entry(-1),
        "too large": entry(10**6),
        "another dimension": lambda t: t[None],
        "flat": lambda t: t.flatten() if t.dim() > 1 else t.sum(),
    },
    torch.bool: {
        **NO_TENSOR,
        "float": lambda t: t.float(),
        "short": lambda t: t[:, 1:],
        "flat": lambda t: t.flatten(),
    },
}
SAMPLE = sample([3, 4], 1.0, k=6, weighted=True)
FLAT, BLOCKS, LAYER = flat(SAMPLE), padded(SAMPLE), layer_arguments(SAMPLE)
ASSIGNMENT = {"assignment": SAMPLE.s.softmax(-1), "batch": SAMPLE.batch}
TYPES = {**LAYER, "x": torch.arange(14).view(7, 2) % 4}
EDGES = {"edge_index": SAMPLE.edge_index, **LAYER}
del EDGES["adj"]


def some(given, *names):
    return {name: given[name] for name in names}


# The function, its arguments, and what is right for it.
CALLS: dict[str, tuple[Callable[..., Any], Arguments, tuple[str, ...]]] = {
    **{f"diff_pool, {b}": (partial(diff_pool, backend=b), FLAT, ()) for b in BACKENDS},
    "diff_pool, auto": (diff_pool, FLAT, ()),
    "diff_pool of blocks": (diff_pool, BLOCKS, ()),
    "DiffPool": (DiffPool(), FLAT, ()),
    "DiffPoolNet": (DiffPoolNet(3, 8, 2, [4, 2]).double(), LAYER, ()),
    "DiffPoolNet of types": (
        DiffPoolNet([4, 5], 8, 2, [4, 2]).double(),
        TYPES,
        ("x int32",),
    ),
    "to_padded": (to_padded, EDGES, ()),
    "to_flat": (to_flat, some(BLOCKS, "x", "adj", "mask"), ()),
    "unpool": (
        unpool,
        {"x": torch.randn(2, 6, 3).double(), **ASSIGNMENT},
        ("x a row more",),
    ),
    "readout": (readout, some(FLAT, "x", "batch", "batch_size"), ("x another dtype",)),
    "readout of blocks": (readout, some(BLOCKS, "x", "mask"), ("x another dtype",)),
    # As in PyG, one row may stand for all graphs, and a mask casts logits to the dtype
    # of `x` and may be of floats and of any shape.
    "dense_diff_pool": (
        dense_diff_pool,
        BLOCKS,
        (
            *("x a row less", "adj a row less", "s a row less", "s another dtype"),
            *("mask float", "mask flat"),
        ),
    ),
}


CASES = [
    (name, argument, kind)
    for name, (_, given, right) in CALLS.items()
    for argument, tensor in given.items()
    if isinstance(tensor, Tensor)
    for kind in WAYS[tensor.dtype]
    if f"{argument} {kind}" not in right
]


@pytest.mark.parametrize(("name", "argument", "kind"), CASES)
def test_every_wrong_tensor_is_refused(name, argument, kind):
    function, given, _ = CALLS[name]
    tensor = given[argument]
    wrong = {**given, argument: WAYS[tensor.dtype][kind](tensor)}
    with pytest.raises((ValueError, TypeError), match=r"^Expected "):
        function(**wrong)
