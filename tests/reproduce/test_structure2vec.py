"""The embeddings of S2V."""

import pytest
import torch
from benchmarks.reproduce.networks.structure2vec import Structure2Vec

from graphs import ZOO
from pyg_diffpool import DiffPoolNet


def test_structure2vec_is_its_formula() -> None:
    torch.manual_seed(0)
    sample = ZOO["ordinary"]
    gnn = Structure2Vec(3, 5, 3, 4).double()
    n = sample.x.size(0)
    adj = torch.zeros(n, n).double()
    adj.index_put_(tuple(sample.edge_index), torch.ones(1).double(), accumulate=True)
    shared = gnn.convs[0].nn.weight
    own = gnn.lin_in(sample.x)
    mu = own.relu()
    for _ in range(3):
        mu = (own + adj.t() @ mu @ shared.t()).relu()
    torch.testing.assert_close(gnn(sample.x, sample.edge_index), gnn.lin(mu))
    assert sum(p.numel() for p in gnn.parameters()) == 3 * 5 + 5 + 5 * 5 + 5 * 4 + 4


@pytest.mark.parametrize("num_levels", [1, 2])
def test_learns_in_the_network_of_the_paper(num_levels: int) -> None:
    torch.manual_seed(0)
    sizes = {"num_levels": num_levels, "hidden_channels": 8}
    net = DiffPoolNet.paper(3, 2, 40, gnn=Structure2Vec, **sizes).double()
    sample = ZOO["ordinary"]
    out = net(sample.x, sample.edge_index, None, sample.batch, sample.batch_size)
    assert [level.x.size(1) for level in out.levels] == [[4], [10, 2]][num_levels - 1]
    (out.out.square().sum() + out.auxiliary_loss).backward()
    assert all(p.grad is not None for p in net.parameters())
