"""Two whole models, and mini-batches for them."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.nn import GraphSAGE

from graphs import Sample, sample
from pyg_diffpool import DiffPool, DiffPoolNet

BATCH = sample([9, 20, 14], channels=5, directed=False).to(torch.float32)


class TwoLevels(Module):
    """The README's model."""

    def __init__(self) -> None:
        super().__init__()
        self.pool1 = DiffPool(GraphSAGE(5, 8, 2), GraphSAGE(5, 8, 2, out_channels=6))
        self.pool2 = DiffPool(GraphSAGE(8, 8, 2), GraphSAGE(8, 8, 2, out_channels=3))
        self.lin = Linear(8, 3)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        batch: Tensor,
        batch_size: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        level1 = self.pool1(x, edge_index, batch=batch, batch_size=batch_size)
        level2 = self.pool2(level1.x, level1.adj, mask=level1.mask)
        losses = [level.link_loss + level.entropy_loss for level in (level1, level2)]
        return self.lin(level2.x.mean(dim=1)), sum(losses)


class Paper(Module):
    """`DiffPoolNet`, giving tensors alone."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.net = DiffPoolNet(5, 8, 3, [6, 3], num_layers=2, **options)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        batch: Tensor,
        batch_size: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        out = self.net(x, edge_index, batch=batch, batch_size=batch_size)
        return out.out, out.link_loss + out.entropy_loss


def make(kind: type[Module]) -> Module:
    torch.manual_seed(0)
    return kind()


def arguments(given: Sample = BATCH) -> tuple[Tensor, Tensor, Tensor, int]:
    return given.x, given.edge_index, given.batch, given.batch_size


def results(call: Any, model: Module, given: Sample = BATCH) -> list[Tensor]:
    """What a model gives, and the gradients of its parameters."""
    out, loss = call(*arguments(given))
    parameters = list(model.parameters())
    total = out.float().square().sum() + loss.float()
    return [out, loss, *torch.autograd.grad(total, parameters)]
