"""`torch.export` of whole models, with any number of nodes, edges and graphs."""

import io

import pytest
import torch
from torch.export import Dim, export

from graphs import sample
from modes.models import Paper, TwoLevels, arguments, make

pytestmark = pytest.mark.skipif(
    torch.__version__ < (2, 9), reason="torch 2.6 and 2.8 fail to export them"
)
ANY = Dim.DYNAMIC if hasattr(Dim, "DYNAMIC") else None
SIZES = ([9, 20, 14], [3, 4], [30, 1, 5, 7, 2], [0, 6], [40] * 20)


@pytest.mark.parametrize(
    ("kind", "with_batch_size"), [(TwoLevels, False), (Paper, True)]
)
def test_exported_equals_eager(kind, with_batch_size):
    model, count = make(kind).eval(), 4 if with_batch_size else 3
    shapes = ({0: ANY}, {1: ANY}, {0: ANY}, ANY)[:count]
    program = export(model, arguments()[:count], dynamic_shapes=shapes, strict=False)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    exported = torch.export.load(file).module()
    for sizes in SIZES:
        given = sample(sizes, channels=5, seed=len(sizes), edges=0.4)
        inputs = arguments(given.to(torch.float32))
        torch.testing.assert_close(exported(*inputs[:count]), model(*inputs))
    if with_batch_size:  # a graph alone, beside an empty one
        x, edge_index, batch, _ = arguments(sample([8], channels=5).to(torch.float32))
        out, alone = (
            exported(x, edge_index, batch, 2)[0],
            model(x, edge_index, batch, 1),
        )
        torch.testing.assert_close(out[:1], alone[0])
