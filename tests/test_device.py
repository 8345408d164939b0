"""On a GPU nothing is read back; tried there, and on the CPU by forbidding looks."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch_geometric.data import Batch
from torch_geometric.nn import GCN, GIN, GraphSAGE

from graphs import (
    BACKENDS,
    RESULTS,
    ZOO,
    flat,
    gradients,
    layer_arguments,
    leaves,
    pad,
    padded,
    pool,
    sample,
    total,
)
from pyg_diffpool import DiffPoolNet, _modes, dense_diff_pool, diff_pool

FIELDS = ["x", "adj", "mask", "assignment", "link_loss", "entropy_loss"]
READING = {"_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2"}


class NoReading(TorchDispatchMode):
    """Refuses every operation that would have to wait for a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().split("::")[1].split(".")[0]
        masks = [
            t
            for t in (args[1] if name in ("index", "index_put", "index_put_") else [])
            if t is not None and t.dtype == torch.bool
        ]
        if name in READING or masks:
            raise AssertionError(f"{func.name()} reads a value back")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def unreadable(monkeypatch):
    monkeypatch.setattr(_modes, "may_read_values", lambda _: False)
    with NoReading():
        yield


def test_reading_is_noticed():
    with NoReading(), pytest.raises(AssertionError, match="reads a value back"):
        torch.ones(3).sum().item()
    with NoReading(), pytest.raises(AssertionError, match="reads a value back"):
        torch.ones(3)[torch.ones(3, dtype=torch.bool)]


@pytest.mark.parametrize("name", ["ordinary", "repeated, weighted", "unsorted edges"])
def test_the_sparse_backend_reads_nothing_and_gives_the_same(name, request):
    given = leaves(flat(ZOO[name].positive))
    given["edge_attr"] = given["x"][given["adj"][1]].detach().requires_grad_()
    given["edge_reduce"] = "mean"
    expected = diff_pool(**given)
    request.getfixturevalue("unreadable")
    budget = torch.full((given["batch_size"],), 4)
    for options in ({}, {"num_clusters": budget}):
        out = diff_pool(**given, **options)
        total = out.x.sum() + out.adj.sum() + out.edge_attr.sum()
        (total + out.link_loss + out.entropy_loss).backward()
        fields = [*FIELDS, "edge_attr"]
        found = [getattr(out, field).detach() for field in fields]
        with _disable_current_modes():  # which compares by reading
            for value, field in zip(found, fields, strict=True):
                torch.testing.assert_close(value, getattr(expected, field))


@pytest.mark.parametrize("form", [flat, padded])
@pytest.mark.parametrize("name", ZOO)
def test_results_and_gradients_are_those_of_a_cpu(name, form, monkeypatch):
    given = leaves(form(ZOO[name]))
    if form is padded:
        apart = ~given["mask"]
        given["x"].data[apart] = given["s"].data[apart] = torch.nan
        given["adj"].data[apart] = torch.nan

    def everything():
        out = diff_pool(**given)
        return [getattr(out, r) for r in RESULTS], gradients(total(out), given)

    expected = everything()
    monkeypatch.setattr(_modes, "may_read_values", lambda _: False)
    torch.testing.assert_close(everything(), expected)


@pytest.mark.usefixtures("unreadable")
def test_padding_and_dense_pooling_read_nothing():
    sample = ZOO["weighted"]
    assert pad(sample, sample.x, max_num_nodes=8).adj.shape == (3, 8, 8)
    x, adj, s = torch.randn(2, 4, 3), torch.rand(2, 4, 4), torch.randn(2, 4, 2)
    mask = torch.ones(2, 4, dtype=torch.bool)
    dense_diff_pool(x, adj, s, mask)
    assert diff_pool(x, adj, s, mask=mask).x.shape == (2, 2, 3)


@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize("gnn", [GraphSAGE, GCN, GIN])
def test_a_training_step_of_a_network_reads_nothing(gnn):
    given = {**layer_arguments(ZOO["undirected"].to(torch.float)), "batch_size": 3}
    net = DiffPoolNet(3, 8, 2, [4, 2], ratio=0.5, gnn=gnn, dropout=0.1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    before = net.mlp.lins[0].weight.detach().clone()
    out = net(given.pop("x"), given.pop("adj"), **given)
    assert out.levels[0].mask.shape == (3, 4)  # not all of them exist
    loss = cross_entropy(out.out, torch.tensor([0, 1, 1])) + out.auxiliary_loss
    loss.backward()
    optimizer.step()
    with _disable_current_modes():
        assert not out.levels[0].mask.all()
        assert not torch.equal(before, net.mlp.lins[0].weight)


def test_too_large_a_graph_fails_on_the_modes(monkeypatch):
    monkeypatch.setattr(_modes, "may_read_values", lambda _: False)
    sample = ZOO["ordinary"]
    with pytest.raises(RuntimeError, match="more than 'max_num_nodes'"):
        pad(sample, sample.x, max_num_nodes=6)


@pytest.mark.parametrize("edge", [(0, 12), (-1, 0), (0, 11)])
def test_wrong_edges_fail_where_nothing_is_read(monkeypatch, edge):
    given = flat(ZOO["ordinary"])
    ends = given["adj"].clone()
    ends[:, 0] = torch.tensor(edge)
    monkeypatch.setattr(_modes, "may_read_values", lambda _: False)
    with pytest.raises((RuntimeError, IndexError), match=r"two graphs|out of range"):
        diff_pool(**{**given, "adj": ends})


class Counting(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_number_of_operations_does_not_grow_with_the_graphs(backend):
    counts = []
    for num_graphs in (2, 50):
        given = leaves(flat(sample([4] * num_graphs, [[(0, 1), (2, 1)]] * num_graphs)))
        with Counting() as mode:
            out = diff_pool(**given, backend=backend)
            (out.x.sum() + out.adj.sum() + out.link_loss + out.entropy_loss).backward()
        counts.append(mode.count)
    assert counts[0] == counts[1] > 0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", ZOO)
def test_on_a_gpu(name):
    expected, given = pool(ZOO[name]), flat(ZOO[name])
    given = {k: v.cuda() if isinstance(v, Tensor) else v for k, v in given.items()}
    given = leaves(given)
    diff_pool(**given)  # what is loaded on first use may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        out = diff_pool(**given)
        (out.x.sum() + out.link_loss + out.entropy_loss).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for field in FIELDS:
        torch.testing.assert_close(getattr(out, field).cpu(), getattr(expected, field))


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.usefixtures("unreadable")
@pytest.mark.parametrize("ratio", [None, 0.5])
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_a_step_of_the_training_module_reads_nothing(task, ratio):
    train = pytest.importorskip("pyg_diffpool.train")
    sample = ZOO["undirected"].to(torch.float)
    y = torch.tensor([0, 1, 1]) if task == "classification" else torch.rand(3, 2)
    y = y.round() if task == "multilabel" else y
    batch = Batch(x=sample.x, edge_index=sample.edge_index, y=y, batch=sample.batch)
    batch._num_graphs = 3
    sizes = {"in_channels": 3, "out_channels": 2, "num_clusters": [4, 2]}
    module = train.DiffPoolModule(**sizes, task=task, ratio=ratio)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    module.training_step(batch, 0).backward()
    optimizer.step()
    module.validation_step(batch, 0)
    with _disable_current_modes():
        assert all(p.isfinite().all() for p in module.parameters())
