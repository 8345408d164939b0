"""`DiffPoolNet`, the paper's architecture and its variants, and `DiffPoolCode2`."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GCN, GIN, GraphSAGE

from graphs import BACKENDS, ZOO, layer_arguments
from pyg_diffpool import DiffPoolCode2, DiffPoolNet


def run(net, sample, **options):
    return net(**layer_arguments(sample), **options)


def assert_learns_everywhere(net, total):
    total.backward()
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("gnn", [GraphSAGE, GCN, GIN])
@pytest.mark.parametrize("clusters", [4, [4], [5, 2], [6, 4, 2]])
@pytest.mark.parametrize("name", ["ordinary", "one node each", "no edges"])
def test_learns_at_every_level(name, clusters, gnn):
    torch.manual_seed(0)
    net = DiffPoolNet(3, 8, 2, clusters, gnn=gnn, num_layers=2).double()
    out = run(net, ZOO[name])
    assert out.out.shape == (ZOO[name].batch_size, 2)
    assert len(out.levels) == (1 if isinstance(clusters, int) else len(clusters))
    total = out.out.square().sum() + out.link_loss + out.entropy_loss
    assert_learns_everywhere(net, total)


@pytest.mark.parametrize("ratio", [None, 0.5])
def test_each_graph_for_itself_in_evaluation(ratio):
    torch.manual_seed(0)
    sample = ZOO["empty graph in the middle"]
    net = DiffPoolNet(3, 8, 2, [5, 2], ratio=ratio).double().eval()
    together = run(net, sample).out
    for b in (0, 2):
        nodes = (sample.batch == b).nonzero().flatten()
        inside = sample.batch[sample.edge_index[0]] == b
        alone = net(sample.x[nodes], sample.edge_index[:, inside] - int(nodes[0]))
        assert_close(together[b], alone.out[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_graph_more_changes_nothing_in_training(backend):
    outs = []
    for batch_size in (3, 4):
        torch.manual_seed(0)
        net = DiffPoolNet(3, 8, 2, [4, 2], ratio=0.5, backend=backend).double()
        outs.append(run(net, replace(ZOO["ordinary"], batch_size=batch_size)))
    few, more = outs
    assert_close(more.out[:3], few.out)
    assert_close(more.link_loss, few.link_loss)
    assert_close(more.entropy_loss, few.entropy_loss)


def test_integer_features_are_embedded():
    x = torch.randint(0, 4, (15, 2))
    net = DiffPoolNet([4, 7], 8, 2, 3).double()
    first, second = net.encoder.columns
    assert_close(net.encoder(x), first.weight[x[:, 0]] + second.weight[x[:, 1]])
    assert run(net, replace(ZOO["ordinary"], x=x)).out.shape == (3, 2)


def test_reset_parameters():
    code2 = DiffPoolCode2(5, 7, 3, 11, 2, hidden_channels=8, num_clusters=4)
    for net in (DiffPoolNet([4, 7], 8, 2, [3, 2]), code2):
        before = {name: p.clone() for name, p in net.named_parameters()}
        net.reset_parameters()
        matrices = [name for name, p in net.named_parameters() if p.dim() > 1]
        assert matrices
        for name in matrices:
            assert not torch.equal(net.get_parameter(name), before[name])


def test_clusters_that_do_not_exist_are_not_read_out():
    torch.manual_seed(0)
    net = DiffPoolNet(3, 8, 2, [5, 2], ratio=0.3).double().eval()
    for gnn in (net.pools[0].embed, net.pools[1].embed, net.last):
        torch.nn.init.constant_(gnn.lin.bias, -1000.0)
    read = []
    net.mlp.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    run(net, ZOO["ordinary"])
    assert read[0].shape == (3, 24)
    assert (read[0] < -100).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_features_of_another_dtype_are_refused(dtype):
    x, edge_index = torch.randn(5, 4), torch.tensor([[0, 1, 2], [1, 2, 3]])
    net = DiffPoolNet(4, 8, 2, [3, 2])
    with pytest.raises(TypeError) as error:
        net(x.to(dtype), edge_index)
    assert str(error.value) == (
        f"Expected 'x' in torch.float32, the dtype of the model (got {dtype}). Cast it "
        f"with 'x.to(torch.float32)' or the model with '.to({dtype})'."
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert net(x.bfloat16(), edge_index).out.shape == (1, 2)
    double = net.double().eval()
    plain = double(x.double(), edge_index)
    assert plain.out.dtype == torch.double
    assert_close(double(x.double(), edge_index, torch.ones(3).double()).out, plain.out)


def test_code2_has_the_published_number_of_parameters():
    net = DiffPoolCode2()
    assert sum(p.numel() for p in net.parameters()) == 10_095_826


def test_code2_learns_everywhere_and_without_auxiliary_losses():
    torch.manual_seed(0)
    net = DiffPoolCode2(5, 7, 3, 11, 2, hidden_channels=8, num_clusters=4)
    x = torch.stack([torch.randint(0, high, (15,)) for high in (5, 7, 40)], 1)
    sample = ZOO["ordinary"]
    out = net(x, sample.edge_index, sample.batch, sample.batch_size)
    assert out.out.shape == (3, 2, 11)
    assert out.auxiliary_loss == 0
    assert_learns_everywhere(net, out.out.square().sum())


@pytest.mark.parametrize("variant", ["diffpool", "nolp"])
@pytest.mark.parametrize(("num_levels", "clusters"), [(1, [4]), (2, [10, 2])])
def test_paper_variants(variant, num_levels, clusters):
    torch.manual_seed(0)
    options = {"variant": variant, "num_levels": num_levels, "hidden_channels": 8}
    net = DiffPoolNet.paper(3, 2, 40, **options).double()
    out = run(net, ZOO["ordinary"])
    assert [level.x.size(1) for level in out.levels] == clusters
    link = 0 if variant == "nolp" else out.link_loss
    assert_close(out.auxiliary_loss, link + out.entropy_loss)
    assert_learns_everywhere(net, out.out.square().sum() + out.auxiliary_loss)


def paths(*sizes):
    """Paths of so many nodes."""
    graphs = []
    for n in sizes:
        node = torch.arange(n - 1)
        edges = torch.stack([node, node + 1])
        edges = torch.cat([edges, edges.flip(0)], 1)
        graphs.append(Data(torch.randn(n, 3), edges))
    return Batch.from_data_list(graphs)


PATHS = paths(8, 3)
# Pairs of neighbours, then halves of the path, or all three nodes.
HALVES = [[0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1], [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0]]
HALVES = torch.tensor(HALVES).t()
TORN = HALVES.clone()
TORN[0, 1] = 1


def by_given(clusters, first=4):
    torch.manual_seed(0)
    options = {"hidden_channels": 8, "num_clusters": [first, 2]}
    net = DiffPoolNet.paper(3, 2, 16, variant="det", **options)
    return net(PATHS.x, PATHS.edge_index, batch=PATHS.batch, clusters=clusters)


def test_det_pools_by_the_given_clusters():
    out = by_given(HALVES)
    first, second = out.levels
    expected = [[2, 1, 0, 0], [1, 2, 1, 0], [0, 1, 2, 1], [0, 0, 1, 2]]
    assert first.adj[0].tolist() == expected
    assert first.adj[1, :2, :2].tolist() == [[2, 1], [1, 0]]
    assert second.adj.tolist() == [[[6, 1], [1, 6]], [[4, 0], [0, 0]]]
    out.out.sum().backward()


def test_det_clusters_that_no_node_has_change_nothing():
    shifted = HALVES.clone()
    shifted[PATHS.batch == 1, 0] += 2
    for clusters, first in ((shifted, 4), (HALVES, 9)):
        assert_close(by_given(clusters, first).out, by_given(HALVES).out)


@pytest.mark.parametrize(
    ("clusters", "error", "message"),
    [
        (None, ValueError, "only then"),
        ([[0]] * 11, TypeError, r"'clusters' to be a torch.Tensor \(got list"),
        (HALVES.float(), TypeError, "int64"),
        (HALVES[:, :1], ValueError, "shape"),
        (HALVES + 1, ValueError, "below"),
        (TORN, ValueError, "torn apart"),
    ],
)
def test_det_refuses_clusters_that_do_not_fit(clusters, error, message):
    with pytest.raises(error, match=message):
        by_given(clusters)
