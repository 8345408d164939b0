"""The README's Python runs as it stands, and its models learn."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric import seed_everything
from torch_geometric.datasets import FakeDataset
from torch_geometric.loader import DataLoader

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text("utf-8")
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def run(blocks):
    names: dict[str, Any] = {"__name__": "readme", "torch": torch}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    return names


def test_examples_run():
    blocks = BLOCK.findall(TEXT)
    assert len(blocks) >= 2
    run(blocks)


@pytest.mark.parametrize("name", ["UNet", "Classifier", "Transformer"])
def test_models_of_ones_own_learn(name):
    seed_everything(0)
    dataset = FakeDataset(8, avg_num_nodes=20, num_channels=16, num_classes=2)
    data = next(iter(DataLoader(dataset, batch_size=8)))
    y = data.y[data.batch] if name == "UNet" else data.y
    section = TEXT[TEXT.index("## In your own model") :].split("\n## ")[0]
    own = ["from pyg_diffpool import DiffPool", *BLOCK.findall(section)]
    model = run(own)[name](16, 16, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        out, auxiliary_loss = model(data.x, data.edge_index, data.batch)
        assert out.shape == (y.numel(), 2)
        loss = torch.nn.functional.cross_entropy(out, y) + auxiliary_loss
        loss.backward()
        for parameter in model.parameters():
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
