"""`DiffPoolNet`, the paper's architecture."""

from dataclasses import replace

import pytest
import torch
from torch_geometric.nn import GCN, GIN, GraphSAGE
from torch_geometric.nn.models.basic_gnn import BasicGNN

from graphs import ZOO, Sample
from pyg_diffpool import DiffPoolNet, DiffPoolNetOutput


def run(net: DiffPoolNet, sample: Sample) -> DiffPoolNetOutput:
    return net(
        sample.x,
        sample.edge_index,
        batch=sample.batch,
        batch_size=sample.batch_size,
    )


@pytest.mark.parametrize("gnn", [GraphSAGE, GCN, GIN])
@pytest.mark.parametrize("clusters", [4, [4], [5, 2], [6, 4, 2]])
@pytest.mark.parametrize("name", ["ordinary", "one node each", "no edges"])
def test_learns_at_every_level(
    name: str, clusters: int | list[int], gnn: type[BasicGNN]
) -> None:
    torch.manual_seed(0)
    net = DiffPoolNet(3, 8, 2, clusters, gnn=gnn, num_layers=2).double()
    out = run(net, ZOO[name])
    assert out.out.shape == (ZOO[name].batch_size, 2)
    assert len(out.levels) == (1 if isinstance(clusters, int) else len(clusters))
    (out.out.square().sum() + out.link_loss + out.entropy_loss).backward()
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("ratio", [None, 0.5])
def test_each_graph_for_itself_in_evaluation(ratio: float | None) -> None:
    torch.manual_seed(0)
    sample = ZOO["empty graph in the middle"]
    net = DiffPoolNet(3, 8, 2, [5, 2], ratio=ratio).double().eval()
    together = run(net, sample).out
    for b in (0, 2):
        nodes = (sample.batch == b).nonzero().flatten()
        inside = sample.batch[sample.edge_index[0]] == b
        alone = net(sample.x[nodes], sample.edge_index[:, inside] - int(nodes[0]))
        torch.testing.assert_close(together[b], alone.out[0])


@pytest.mark.parametrize("backend", ["sparse", "padded"])
def test_an_empty_graph_more_changes_nothing_in_training(backend: str) -> None:
    sample = ZOO["ordinary"]
    outs = []
    for batch_size in (3, 4):
        torch.manual_seed(0)
        net = DiffPoolNet(3, 8, 2, [4, 2], ratio=0.5, backend=backend).double()
        outs.append(run(net, replace(sample, batch_size=batch_size)))
    few, more = outs
    torch.testing.assert_close(more.out[:3], few.out)
    torch.testing.assert_close(more.link_loss, few.link_loss)
    torch.testing.assert_close(more.entropy_loss, few.entropy_loss)


def test_integer_features_are_embedded() -> None:
    sample = ZOO["ordinary"]
    x = torch.randint(0, 4, (15, 2))
    net = DiffPoolNet([4, 7], 8, 2, 3).double()
    out = run(net, replace(sample, x=x))
    columns = net.encoder.columns
    expected = columns[0].weight[x[:, 0]] + columns[1].weight[x[:, 1]]
    torch.testing.assert_close(net.encoder(x), expected)
    assert out.out.shape == (3, 2)


def test_reset_parameters() -> None:
    net = DiffPoolNet([4, 7], 8, 2, [3, 2])
    before = {name: p.clone() for name, p in net.named_parameters()}
    net.reset_parameters()
    matrices = [name for name, p in net.named_parameters() if p.dim() > 1]
    assert matrices
    for name in matrices:
        assert not torch.equal(net.get_parameter(name), before[name])


def test_clusters_that_do_not_exist_are_not_read_out() -> None:
    torch.manual_seed(0)
    net = DiffPoolNet(3, 8, 2, [5, 2], ratio=0.3).double().eval()
    for gnn in (net.pools[0].embed, net.pools[1].embed, net.last):
        torch.nn.init.constant_(gnn.lin.bias, -1000.0)
    read = []
    net.mlp.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    run(net, ZOO["ordinary"])
    assert read[0].shape == (3, 24)
    assert (read[0] < -100).all()
