"""The methods of the tables, and their training."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from benchmarks.reproduce.graph_store import GraphStore
from benchmarks.reproduce.networks import METHODS, Shape, make_network
from benchmarks.reproduce.networks.dropout import ByteDropout
from benchmarks.reproduce.sets import load_store
from benchmarks.reproduce.settings import Training
from benchmarks.reproduce.training import augmented, train

SMALL = Training(epochs=2, batch_size=10, hidden=8, clusters=(4, 2))


def _store_for(method: str, root: Path) -> GraphStore:
    if method == "DiffPool-Det":
        pytest.importorskip("pymetis")
    if method == "tgp diff":
        pytest.importorskip("tgp")
    clusters = SMALL.clusters if method == "DiffPool-Det" else ()
    return load_store("ENZYMES", root, clusters)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns(method: str, tu_root: Path) -> None:
    store = _store_for(method, tu_root)
    network = make_network(method, Shape.of(store, SMALL), seed=0)
    batch = store.take(torch.arange(20))
    out, auxiliary = network(batch)
    assert out.shape == (20, 2)
    (out.square().sum() + auxiliary).backward()
    touched = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in touched)
    assert len(touched) > 0.6 * len(list(network.parameters()))
    network.eval()
    torch.testing.assert_close(network(batch)[0], network(batch)[0])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_a_graph_without_edges(method: str, tu_root: Path) -> None:
    store = _store_for(method, tu_root)
    batch = store.take(torch.arange(20))
    linked = batch.batch[batch.edge_index[0]] != 3
    batch = replace(batch, edge_index=batch.edge_index[:, linked])
    network = make_network(method, Shape.of(store, SMALL), seed=0)
    out, auxiliary = network(batch)
    (out.square().sum() + auxiliary).backward()
    assert out.isfinite().all()
    assert auxiliary.isfinite()
    touched = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in touched)


def test_a_loss_that_is_not_finite_ends_the_training(tu_root: Path) -> None:
    store = load_store("ENZYMES", tu_root, ())
    graphs = torch.arange(40)
    store = replace(store, x=store.x.fill_(float("nan")))
    network = make_network("DeepSets", Shape.of(store, SMALL), seed=0)
    with pytest.raises(FloatingPointError, match=r"got nan in epoch 1\)"):
        train(network, store, graphs, {"all": graphs}, SMALL, seed=0)


def test_random_assignment_learns_no_assignment(tu_root: Path) -> None:
    shape = Shape.of(load_store("ENZYMES", tu_root, ()), SMALL)
    count = {
        name: sum(p.numel() for p in make_network(name, shape, 0).parameters())
        for name in ("DiffPool", "DiffPool-Random", "DiffPool-NoLP")
    }
    assert count["DiffPool-Random"] < count["DiffPool"] == count["DiffPool-NoLP"]


def test_a_network_learns_what_is_plain(tu_root: Path) -> None:
    store = load_store("ENZYMES", tu_root, ())
    settings = replace(SMALL, epochs=25, lr=0.01, dropout=0.0, averaging=0.0)
    network = make_network("DiffPool", Shape.of(store, settings), seed=0)
    graphs = torch.arange(40)
    curves = train(network, store, graphs, {"all": graphs}, settings, seed=0)
    assert curves.parts["all"][-1] == 1.0
    assert len(curves.loss) == 25
    assert curves.loss[-1] < 0.5 * curves.loss[0]


def test_nodes_and_edges_left_out(tu_root: Path) -> None:
    torch.manual_seed(0)
    batch = load_store("ENZYMES", tu_root, ()).take(torch.arange(40))
    settings = replace(SMALL, drop_nodes=0.5, drop_edges=0.2)
    less = augmented(batch, settings)
    assert 0.4 < less.batch.numel() / batch.batch.numel() < 0.75
    assert less.batch.unique().numel() == 40
    assert int(less.edge_index.max()) < less.batch.numel()
    assert torch.equal(less.batch[less.edge_index[0]], less.batch[less.edge_index[1]])
    assert augmented(batch, SMALL) == batch


def test_byte_dropout() -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 77, requires_grad=True)
    layer = ByteDropout(0.25)
    out = layer(x)
    values, counts = out.unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([0.0, 4 / 3]))
    assert 0.24 < float(counts[0]) / x.numel() < 0.26
    by_place = (out == 0).flatten()[:76_000].view(-1, 8).float().mean(0)
    assert ((by_place > 0.23) & (by_place < 0.27)).all()
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())
    assert layer.eval()(x) is x
    assert ByteDropout(0.0)(x) is x
