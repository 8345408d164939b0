"""The two ragged products against a loop over graphs, whichever way they are taken."""

import itertools

import pytest
import torch
from torch import Tensor

from pyg_diffpool import _ragged
from pyg_diffpool._ragged import Ragged

SIZES = [[5, 3, 7], [0, 4, 0, 1, 0], [100, 1, 33, 64], [8], [0]]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


@pytest.fixture(params=[True, False], ids=["grouped", "tiles"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    has = request.param and _ragged.HAS_GROUPED_MM
    monkeypatch.setattr(_ragged, "HAS_GROUPED_MM", has)
    return request.param


def make(sizes: list[int], p: int, q: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(sum(sizes) + p + q)
    n, options = sum(sizes), {"generator": generator, "dtype": torch.double}
    return (
        torch.randn(n, p, **options).to(dtype),
        torch.randn(n, q, **options).to(dtype),
        torch.randn(len(sizes), p, q, **options).to(dtype),
        torch.tensor([0, *sizes]).cumsum(0),
    )


@pytest.mark.parametrize("widths", [(8, 16), (5, 3), (1, 8), (16, 1)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.usefixtures("way")
def test_equals_loop(
    sizes: list[int], dtype: torch.dtype, widths: tuple[int, int]
) -> None:
    left, right, blocks, ptr = make(sizes, *widths, dtype)
    parts = [slice(int(a), int(b)) for a, b in itertools.pairwise(ptr)]
    tolerance = {"rtol": 2 * torch.finfo(dtype).eps ** 0.8, "atol": 1e-1}
    if dtype in (torch.float64, torch.float32):
        tolerance = {"rtol": 1e-5, "atol": 1e-4}
    contracted = torch.stack([left[i].t().double() @ right[i].double() for i in parts])
    torch.testing.assert_close(
        Ragged(ptr).contract(left, right).double(), contracted, **tolerance
    )
    expanded = torch.cat(
        [left[i].double() @ y.double() for i, y in zip(parts, blocks, strict=True)]
    )
    torch.testing.assert_close(
        Ragged(ptr).expand(left, blocks).double(), expanded, **tolerance
    )


@pytest.mark.usefixtures("way")
def test_operands_that_are_views() -> None:
    left, right, blocks, ptr = make([9, 4], 8, 16, torch.float32)
    wide = torch.cat([left, right], 1)
    ragged, turned = Ragged(ptr), blocks.transpose(1, 2).contiguous().transpose(1, 2)
    for offset in (0, 1, 4):  # aligned to 16 bytes, and not
        view = wide[:, offset : offset + 8]
        copy = view.contiguous()
        found, copied = ragged.contract(view, right), ragged.contract(copy, right)
        torch.testing.assert_close(found, copied)
        found, copied = ragged.expand(view, turned), ragged.expand(copy, blocks)
        torch.testing.assert_close(found, copied)
