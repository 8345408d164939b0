"""The paper's variants and the network for ogbg-code2."""

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphs import ZOO
from pyg_diffpool import DiffPoolCode2, DiffPoolNet
from pyg_diffpool.datasets import NestedClusters
from pyg_diffpool.models import Variant


def test_code2_has_the_published_number_of_parameters() -> None:
    net = DiffPoolCode2()
    assert sum(p.numel() for p in net.parameters()) == 10_095_826


def test_code2_learns_everywhere_and_without_auxiliary_losses() -> None:
    torch.manual_seed(0)
    net = DiffPoolCode2(5, 7, 3, 11, 2, hidden_channels=8, num_clusters=4)
    sample = ZOO["ordinary"]
    n = sample.x.size(0)
    x = torch.stack([torch.randint(0, high, (n,)) for high in (5, 7, 40)], 1)
    out = net(x, sample.edge_index, sample.batch, sample.batch_size)
    assert out.out.shape == (sample.batch_size, 2, 11)
    assert out.auxiliary_loss == 0
    out.out.square().sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    before = net.heads.weight.clone()
    net.reset_parameters()
    assert not torch.equal(before, net.heads.weight)


@pytest.mark.parametrize("variant", ["diffpool", "nolp"])
@pytest.mark.parametrize("num_levels", [1, 2])
def test_paper_variants(variant: Variant, num_levels: int) -> None:
    torch.manual_seed(0)
    net = DiffPoolNet.paper(
        3, 2, 40, variant=variant, num_levels=num_levels, hidden_channels=8
    ).double()
    sample = ZOO["ordinary"]
    out = net(sample.x, sample.edge_index, None, sample.batch, sample.batch_size)
    assert [level.x.size(1) for level in out.levels] == [[4], [10, 2]][num_levels - 1]
    link = 0 if variant == "nolp" else out.link_loss
    torch.testing.assert_close(out.auxiliary_loss, link + out.entropy_loss)
    (out.out.square().sum() + out.auxiliary_loss).backward()
    assert all(p.grad is not None for p in net.parameters())


def test_paper_refuses_what_there_is_not() -> None:
    with pytest.raises(ValueError, match="'variant'"):
        DiffPoolNet.paper(3, 2, 40, variant="sortpool")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'num_levels' 1 or 2"):
        DiffPoolNet.paper(3, 2, 40, num_levels=3)
    with pytest.raises(ValueError, match="'max_num_nodes'"):
        DiffPoolNet.paper(3, 2, 0)


def two_paths() -> Batch:
    """Paths of 8 and 3 nodes."""
    graphs = []
    for n in (8, 3):
        node = torch.arange(n - 1)
        edges = torch.stack([node, node + 1])
        edges = torch.cat([edges, edges.flip(0)], 1)
        graphs.append(Data(x=torch.randn(n, 3), edge_index=edges))
    return Batch.from_data_list(graphs)


def det_net(first: int = 4) -> DiffPoolNet:
    torch.manual_seed(0)
    return DiffPoolNet.paper(
        3, 2, 16, variant="det", hidden_channels=8, num_clusters=[first, 2]
    )


def halves(batch: Batch) -> Tensor:
    """Pairs of neighbours, then halves of the path, or all three."""
    first = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1])
    second = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0])
    assert first.numel() == batch.num_nodes
    return torch.stack([first, second], 1)


def test_det_pools_by_the_given_clusters() -> None:
    batch = two_paths()
    out = det_net()(
        batch.x, batch.edge_index, batch=batch.batch, clusters=halves(batch)
    )
    first, second = out.levels
    assert first.adj[0].tolist() == [
        [2, 1, 0, 0],
        [1, 2, 1, 0],
        [0, 1, 2, 1],
        [0, 0, 1, 2],
    ]
    assert first.adj[1, :2, :2].tolist() == [[2, 1], [1, 0]]
    assert second.adj[0].tolist() == [[6, 1], [1, 6]]
    assert second.adj[1].tolist() == [[4, 0], [0, 0]]
    out.out.sum().backward()


def test_det_clusters_that_no_node_has_change_nothing() -> None:
    batch = two_paths()
    given = halves(batch)
    shifted = given.clone()
    shifted[batch.batch == 1, 0] += 2
    outs = [
        det_net(k)(batch.x, batch.edge_index, batch=batch.batch, clusters=c).out
        for k, c in ((4, given), (4, shifted), (9, given))
    ]
    torch.testing.assert_close(outs[1], outs[0])
    torch.testing.assert_close(outs[2], outs[0])


def test_det_refuses_clusters_that_do_not_fit() -> None:
    batch = two_paths()
    given, net = halves(batch), det_net()

    def run(clusters: Tensor | None) -> None:
        net(batch.x, batch.edge_index, batch=batch.batch, clusters=clusters)

    with pytest.raises(ValueError, match="only then"):
        run(None)
    with pytest.raises(TypeError, match="int64"):
        run(given.float())
    with pytest.raises(ValueError, match="shape"):
        run(given[:, :1])
    with pytest.raises(ValueError, match="below"):
        run(given + 1)
    torn = given.clone()
    torn[0, 1] = 1
    with pytest.raises(ValueError, match="torn apart"):
        run(torn)
    with pytest.raises(ValueError, match="only then"):
        DiffPoolNet(3, 8, 2, 4)(batch.x, batch.edge_index, clusters=given)


def test_nested_clusters() -> None:
    pytest.importorskip("pymetis")
    node = torch.arange(40)
    edges = torch.stack([node, (node + 1) % 40])
    edges = edges[:, (node != 19) & (node != 39)]  # two paths of 20
    transform = NestedClusters([8, 2])
    clusters = transform(Data(edge_index=edges, num_nodes=40)).clusters
    again = transform(Data(edge_index=edges, num_nodes=40)).clusters
    assert torch.equal(clusters, again)
    assert clusters.dtype == torch.long
    assert clusters.amax(0).tolist() == [7, 1]
    assert clusters[:20, 1].unique().numel() == 1
    assert clusters[20:, 1].unique().numel() == 1
    for cluster in clusters[:, 0].unique():
        assert clusters[clusters[:, 0] == cluster, 1].unique().numel() == 1


@pytest.mark.parametrize("n", [0, 1, 3])
def test_nested_clusters_of_tiny_graphs(n: int) -> None:
    pytest.importorskip("pymetis")
    data = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=n)
    clusters = NestedClusters([4, 2])(data).clusters
    assert clusters.shape == (n, 2)
    assert clusters[:, 0].tolist() == list(range(n))
