"""The models of the README's section "In your own model" learn."""

import re
from pathlib import Path

import pytest
import torch
from torch_geometric import seed_everything
from torch_geometric.datasets import FakeDataset
from torch_geometric.loader import DataLoader

README = Path(__file__).parents[1] / "README.md"
CLASSES, C = 2, 16


def models() -> dict[str, type[torch.nn.Module]]:
    text = README.read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    section = text[text.index("## In your own model") :]
    section = section[: section.index("\n## ", 1)]
    own = [block for block in blocks if block in section]
    source = "\n".join(["import torch", "from pyg_diffpool import DiffPool", *own])
    names: dict[str, type[torch.nn.Module]] = {}
    exec(compile(source, str(README), "exec"), names)
    return names


@pytest.mark.parametrize("name", ["UNet", "Classifier", "Transformer"])
def test_learns(name: str) -> None:
    seed_everything(0)
    dataset = FakeDataset(8, avg_num_nodes=20, num_channels=C, num_classes=CLASSES)
    data = next(iter(DataLoader(dataset, batch_size=8)))
    y = data.y[data.batch] if name == "UNet" else data.y
    model = models()[name](C, 16, CLASSES)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for step in range(20):
        optimizer.zero_grad()
        out, auxiliary_loss = model(data.x, data.edge_index, data.batch)
        assert out.shape == (y.numel(), CLASSES)
        loss = torch.nn.functional.cross_entropy(out, y) + auxiliary_loss
        loss.backward()
        if step == 0:
            grads = {n: p.grad for n, p in model.named_parameters()}
            unused = [n for n, g in grads.items() if g is None]
            assert not unused
            assert all(g.isfinite().all() for g in grads.values())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
