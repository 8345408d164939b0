"""`DiffPoolNet`, the paper's architecture."""

from dataclasses import replace
from typing import Any

import numpy
import pytest
import torch
from torch_geometric.nn import GCN, GIN, GraphSAGE
from torch_geometric.nn.models.basic_gnn import BasicGNN

from graphs import ZOO, Sample
from pyg_diffpool import DiffPoolCode2, DiffPoolNet, DiffPoolNetOutput


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


WHOLE = [numpy.int64(3), numpy.array(3), torch.tensor(3), 3.0, numpy.float32(3)]
NOT_WHOLE = [2.5, True, "3", torch.tensor(True), torch.tensor([3]), None, float("inf")]


@pytest.mark.parametrize("three", WHOLE, ids=repr)
def test_whole_numbers_of_any_type(three: Any) -> None:
    sample = ZOO["ordinary"]
    for clusters in (three, [three, 2], (three,)):
        net = DiffPoolNet(three, three, three, clusters).double()
        out = net(sample.x, sample.edge_index, None, sample.batch, batch_size=three)
        assert out.out.shape == (3, 3)
        assert net.num_clusters[0] == 3
        assert all(type(k) is int for k in net.num_clusters)
    assert DiffPoolNet([three, 4], 3, 3, 3).encoder.cardinalities == [3, 4]
    assert DiffPoolNet.paper(3, 2, three, hidden_channels=8).num_clusters == [1, 1]
    words = DiffPoolCode2(4, 9, three, 7, hidden_channels=three, num_clusters=three)
    x = torch.zeros(15, 3, dtype=torch.long)
    assert words(x, sample.edge_index, sample.batch, three).out.shape == (3, 5, 7)


@pytest.mark.parametrize("value", NOT_WHOLE, ids=repr)
@pytest.mark.parametrize(
    "name", ["in_channels", "hidden_channels", "out_channels", "num_clusters"]
)
def test_other_numbers_are_refused(name: str, value: Any) -> None:
    if value is NOT_WHOLE[4] and name in ("in_channels", "num_clusters"):
        return  # where it is a sequence of one
    sizes = {"in_channels": 3, "hidden_channels": 8, "out_channels": 2}
    sizes |= {"num_clusters": 4, name: value}
    with pytest.raises(TypeError) as error:
        DiffPoolNet(**sizes)
    assert str(error.value) == (
        f"Expected '{name}' to be a whole number (got {value!r})."
    )


def test_a_batch_size_that_is_not_whole_is_refused() -> None:
    sample = ZOO["ordinary"]
    net = DiffPoolNet(3, 8, 2, 4).double()
    with pytest.raises(TypeError, match=r"'batch_size' to be a whole.*\(got 2\.5\)"):
        net(sample.x, sample.edge_index, None, sample.batch, batch_size=2.5)
    with pytest.raises(TypeError, match=r"'max_num_nodes' to be a whole.*got 2\.5"):
        DiffPoolNet.paper(3, 2, 2.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_features_of_another_dtype_are_refused(dtype: torch.dtype) -> None:
    x, edge_index = torch.randn(5, 4), torch.tensor([[0, 1, 2], [1, 2, 3]])
    net = DiffPoolNet(4, 8, 2, [3, 2])
    message = (
        f"Expected 'x' in torch.float32, the dtype of the model (got {dtype}). Cast it "
        f"with 'x.to(torch.float32)' or the model with '.to({dtype})'."
    )
    with pytest.raises(TypeError) as error:
        net(x.to(dtype), edge_index)
    assert str(error.value) == message
    with torch.autocast("cpu", torch.bfloat16):
        assert net(x.bfloat16(), edge_index).out.shape == (1, 2)


def test_a_model_in_double_precision() -> None:
    x, edge_index = torch.randn(5, 4).double(), torch.tensor([[0, 1, 2], [1, 2, 3]])
    net = DiffPoolNet(4, 8, 2, [3, 2]).double().eval()
    plain = net(x, edge_index)
    ones = net(x, edge_index, torch.ones(3).double())
    assert plain.out.dtype == ones.out.dtype == torch.double
    torch.testing.assert_close(ones.out, plain.out)
    with pytest.raises(TypeError, match="float64, the dtype of the model"):
        net(x.float(), edge_index)


def test_a_strided_batch_is_the_same() -> None:
    sample = ZOO["ordinary"]
    net = DiffPoolNet(3, 8, 2, [4, 2]).double().eval()
    strided = replace(sample, batch=sample.batch.repeat_interleave(2)[::2])
    for batch_size in (None, 3):
        out = run(net, replace(strided, batch_size=batch_size))
        torch.testing.assert_close(out.out, run(net, sample).out)
    one = torch.zeros(1, dtype=torch.long).expand(15)
    alone = net(sample.x, sample.edge_index).out
    torch.testing.assert_close(net(sample.x, sample.edge_index, None, one).out, alone)


def test_given_clusters_must_be_a_tensor() -> None:
    net = DiffPoolNet(3, 8, 2, 4, learn_assignment=False).double()
    sample = ZOO["ordinary"]
    with pytest.raises(TypeError, match=r"'clusters' to be a torch.Tensor \(got list"):
        net(sample.x, sample.edge_index, clusters=[[0]] * 15)


def test_embeds_on_the_meta_device() -> None:
    net = DiffPoolNet([4, 7], 8, 2, 3).to("meta")
    out = net.encoder(torch.zeros(5, 2, dtype=torch.long, device="meta"))
    assert out.shape == (5, 8)
    out.sum().backward()
    assert net.encoder.columns[1].weight.grad.shape == (7, 8)
