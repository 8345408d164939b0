"""Gradients are the same whether or not they are to be differentiated again."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch_geometric.nn import GCN, GIN, GCNConv, GraphSAGE

from pyg_diffpool import DiffPool, DiffPoolNet, diff_pool, to_padded

EDGES = torch.tensor([[0, 0, 1, 2, 3, 3], [1, 2, 0, 3, 1, 2]])
X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.double)
W = torch.rand(6, generator=torch.Generator().manual_seed(1), dtype=torch.double)


def both(loss: Tensor, inputs: list[Tensor]) -> None:
    first = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
    again = torch.autograd.grad(loss, inputs, create_graph=True, allow_unused=True)
    torch.testing.assert_close(again, first)
    batched = torch.autograd.grad(
        loss, inputs, torch.ones(1, *loss.shape).double(), is_grads_batched=True
    )
    for one, other in zip(batched, first, strict=True):
        torch.testing.assert_close(one[0], other)


def total(out: object) -> Tensor:
    parts = [getattr(out, name) for name in ("x", "adj")]
    losses = out.link_loss + out.entropy_loss
    return sum(part.square().sum() for part in parts) + losses


def from_one(x: Tensor, w: Tensor) -> Tensor:
    """Logits, weights and edge features that all come from `x`."""
    weight = w * x[EDGES[0], 0].sigmoid()
    attr = x[EDGES[1]]
    out = diff_pool(x, EDGES, 2 * x, edge_weight=weight, edge_attr=attr)
    return total(out) + out.edge_attr.square().sum()


def from_one_padded(x: Tensor, w: Tensor) -> Tensor:
    z, adj, mask = to_padded(x, EDGES, edge_weight=w, max_num_nodes=5)
    return total(diff_pool(z, adj, z * 2, mask=mask))


def by_layer(x: Tensor, w: Tensor) -> Tensor:
    torch.manual_seed(0)
    level = DiffPool(GCNConv(3, 3), GCNConv(3, 2)).double()
    return total(level(x, EDGES, w))


CASES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "from one": from_one,
    "from one, padded": from_one_padded,
    "by layer": by_layer,
}


@pytest.mark.parametrize("name", CASES)
def test_where_one_input_depends_on_another(name: str) -> None:
    x, w = X.clone().requires_grad_(), W.clone().requires_grad_()
    both(CASES[name](x, w), [x, w])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("gnn", [GraphSAGE, GCN, GIN])
def test_through_two_levels(gnn: type, weighted: bool) -> None:
    torch.manual_seed(0)
    net = DiffPoolNet(3, 4, 2, [3, 2], num_layers=2, gnn=gnn).double().eval()
    x, w = X.clone().requires_grad_(), W.clone().requires_grad_()
    out = net(x, EDGES, w if weighted else None)
    loss = out.out.square().sum() + out.auxiliary_loss
    both(loss, [x, *([w] if weighted else []), net.mlp.lins[0].weight])
