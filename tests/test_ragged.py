"""The two ragged products where operands are views, whichever way they are taken."""

import pytest
import torch
from torch.testing import assert_close

from pyg_diffpool import _ragged
from pyg_diffpool._ragged import Ragged


@pytest.mark.parametrize("grouped", [True, False])
def test_operands_that_are_views(grouped, monkeypatch):
    has = grouped and _ragged.HAS_GROUPED_MM
    monkeypatch.setattr(_ragged, "HAS_GROUPED_MM", has)
    torch.manual_seed(0)
    wide, right, blocks = (torch.randn(s) for s in ((13, 24), (13, 16), (2, 8, 16)))
    turned, ptr = blocks.mT.contiguous().mT, torch.tensor([0, 9, 13])
    for offset in (0, 1, 4):  # aligned to 16 bytes, and not
        left = wide[:, offset : offset + 8]
        parts = left[:9], left[9:]
        products = [
            part.t() @ r for part, r in zip(parts, right.split([9, 4]), strict=True)
        ]
        assert_close(Ragged(ptr, 13).contract(left, right), torch.stack(products))
        rows = [part @ block for part, block in zip(parts, blocks, strict=True)]
        assert_close(Ragged(ptr, 13).expand(left, turned), torch.cat(rows))
