"""Every kernel against the slow oracle: values and gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import reference
from graphs import RESULTS, ZOO, Arguments, flat, gradients, leaves, padded, total
from graphs import sample as make
from pyg_diffpool import diff_pool, operator

HALF = {torch.float16: 4e-3, torch.bfloat16: 3e-2}
SPARSE = {"softmax", "contract", "terms", "finish", "exact", "gradient"}
DENSE = {"softmax", "dense", "contract", "finish", "gradient"}
POOLED = sorted({*RESULTS} - {"assignment"})


def double(given: Arguments) -> Arguments:
    """The same numbers in float64."""
    is_float = {n: getattr(v, "is_floating_point", bool)() for n, v in given.items()}
    return {n: v.double() if is_float[n] else v for n, v in given.items()}


def check(given: Arguments, expected: Arguments, tolerance: float = 1e-4) -> None:
    """The operator on these arguments against the oracle on others."""
    given, expected = leaves(given), leaves(expected)
    results = [diff_pool(**given), reference.diff_pool(**expected)]
    names = RESULTS if "mask" not in given else POOLED
    for name in names:
        value, right = (getattr(out, name) for out in results)
        close(value, right, tolerance)
    if "mask" in given:
        rows = results[0].assignment[given["mask"]]
        close(rows, results[1].assignment, tolerance)
    of_x = [n for n in expected if n != "adj" and n in given]
    found, wanted = (
        gradients(total(out, names), of, *of_x)
        for out, of in zip(results, (given, expected), strict=True)
    )
    for grad, right in zip(found, wanted, strict=True):
        if "mask" in given and grad.dim() == 3 and right.dim() == 2:
            assert not grad[~given["mask"]].any()
            grad = grad[given["mask"]]
        close(grad, right, tolerance)


def close(value: Tensor, right: Tensor, tolerance: float) -> None:
    scale = right.detach().abs().max().item() if right.numel() else 0.0
    limits = {"rtol": tolerance, "atol": tolerance * max(scale, 0.1)}
    assert_close(value.double(), right.double(), **limits)


def short(kernels: list[str]) -> set[str]:
    return {name.strip("_").removesuffix("_kernel") for name in kernels}


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
def test_sparse(name: str, read: bool, kernels: list[str], request: Any) -> None:
    if not read:
        request.getfixturevalue("unreadable")
    given = {**flat(ZOO[name].to(torch.float)), "backend": "sparse"}
    check(given, flat(ZOO[name]))
    assert short(kernels) >= SPARSE


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize("name", ZOO)
def test_padded(name: str, kernels: list[str]) -> None:
    given = padded(ZOO[name].to(torch.float))
    hidden = ~given["mask"]
    given["x"][hidden] = torch.nan  # whatever padding holds
    given["s"][hidden] = torch.inf
    pairs = hidden.unsqueeze(1) | hidden.unsqueeze(2)
    given["adj"] = given["adj"].masked_fill(pairs, 7.0)
    check(given, flat(ZOO[name]))
    assert short(kernels) == DENSE


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("form", ["sparse", "padded"])
@pytest.mark.parametrize("name", ["ordinary", "weighted", "very uneven"])
def test_half_precision(
    name: str, form: str, dtype: torch.dtype, kernels: list[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(operator, "_work_dtype", lambda x, _: x.dtype)
    sample = ZOO[name].to(dtype)
    expected = double(flat(sample))
    if form == "sparse":
        check({**flat(sample), "backend": form}, expected, HALF[dtype])
    else:
        check(padded(sample), expected, HALF[dtype])
    assert short(kernels) >= {"gradient"}


@pytest.mark.parametrize(
    ("k", "channels"),
    [(1, 1), (2, 300), (15, 16), (16, 17), (17, 64), (33, 5), (65, 65), (130, 2)],
)
@pytest.mark.parametrize("form", ["sparse", "padded"])
def test_any_width(k: int, channels: int, form: str, kernels: list[str]) -> None:
    sample = make([9, 1, 40], 0.2, k, channels, weighted=True)
    given = flat(sample.to(torch.float)) if form == "sparse" else None
    given = {**given, "backend": form} if given else padded(sample.to(torch.float))
    check(given, flat(sample))
    assert "gradient" in short(kernels)
