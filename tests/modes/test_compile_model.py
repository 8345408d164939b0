"""A whole model under `torch.compile`."""

import pytest
import torch

from modes.models import TwoLevels, make, results


@pytest.mark.skipif(
    (2, 8) <= torch.__version__ < (2, 9), reason="torch 2.8 fails to compile it"
)
def test_compiled_model_equals_eager() -> None:
    torch.compiler.reset()
    model = make(TwoLevels)
    compiled = torch.compile(model, dynamic=True, backend="aot_eager")
    found, expected = (results(call, model) for call in (compiled, model))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
