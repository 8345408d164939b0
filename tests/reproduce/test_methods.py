"""The graphs, features, networks and trainings of the tables."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.reproduce import sets
from benchmarks.reproduce.accuracy import Paper
from benchmarks.reproduce.networks import METHODS, make_network
from benchmarks.reproduce.sets import DEGREE_BINS, NestedClusters, triangle_features
from benchmarks.reproduce.settings import Training
from benchmarks.reproduce.training import TableData, train, without_nodes
from torch_geometric.data import Batch, Data

SMALL = Training(epochs=2, batch_size=16, hidden=8, clusters=(4, 2))


@pytest.fixture
def graphs(tu_root: Path) -> sets.Graphs:
    sets.load_graphs.cache_clear()
    return sets.load_graphs("REDDIT-MULTI-12K", tu_root)


def test_features(tu_root: Path, graphs: sets.Graphs) -> None:
    assert len(graphs) == 40
    assert graphs[0].x.size(1) == 3 + 1  # labels, degree
    assert sets.load_graphs("COLLAB", tu_root)[0].x.size(1) == DEGREE_BINS + 6
    with pytest.raises(sets.AbsentSetError, match=r"NCI1\.zip"):
        sets.load_graphs("NCI1", tu_root)


def test_triangle_features_are_networkxs() -> None:
    networkx = pytest.importorskip("networkx")
    graph = networkx.gnp_random_graph(30, 0.2, seed=0)
    graph.add_edge(0, 0)
    graph.add_node(30)
    edges = torch.tensor(list(graph.edges)).t()
    twice = torch.cat([edges, edges.flip(0), edges[:, :3]], 1)
    clustering, *shared = triangle_features(twice, 31).unbind(1)
    theirs = torch.tensor(list(networkx.clustering(graph).values()))
    torch.testing.assert_close(clustering, theirs)
    graph.remove_edge(0, 0)
    logs = [_logs_of_common_neighbors(graph, node) for node in range(31)]
    rows = [[v.min(), v.mean(), v.max(), v.std(correction=0)] for v in logs]
    torch.testing.assert_close(torch.stack(shared, 1), torch.tensor(rows))


def _logs_of_common_neighbors(graph: Any, node: int) -> torch.Tensor:
    near = graph.adj
    counts = [len(near[node].keys() & near[end].keys()) for end in near[node]]
    return torch.tensor(counts or [0]).log1p()


@pytest.mark.parametrize("name", ["REDDIT-MULTI-12K", "PROTEINS"])
def test_paper_folds_partition(name: str) -> None:
    kept = json.loads(sets.PAPER_FOLDS.read_text()).get(name, "0" * 60)
    y = torch.arange(len(kept)) % 3
    folds = [sets.paper_fold(name, y, fold) for fold in range(10)]
    val = torch.cat([fold["val"] for fold in folds])
    assert torch.equal(val.sort()[0], torch.arange(len(kept)))
    for fold in folds:
        both = torch.cat([fold["train"], fold["val"]])
        assert torch.equal(both.sort()[0], torch.arange(len(kept)))


def test_kept_folds_are_of_the_same_graphs() -> None:
    with pytest.raises(ValueError, match="Expected 600 graphs in ENZYMES"):
        sets.paper_fold("ENZYMES", torch.zeros(7), 0)


def data_for(method: str, graphs: sets.Graphs) -> TableData:
    needed = {"DiffPool-Det": "pymetis", "tgp diff": "tgp"}
    pytest.importorskip(needed.get(method, "torch"))
    cut = NestedClusters(SMALL.clusters) if method == "DiffPool-Det" else None
    data = TableData(graphs, SMALL.batch_size, cut)
    data.split = {"train": torch.arange(32), "val": torch.arange(32, 40)}
    return data


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_also_without_edges(
    method: str, graphs: sets.Graphs
) -> None:
    data = data_for(method, graphs)
    torch.manual_seed(0)
    network = make_network(method, 4, 2, SMALL, 6.5, METHODS)
    some = [graph.clone() for graph in data.dataset[:20]]
    some[3].edge_index = some[3].edge_index[:, :0]
    batch = Batch.from_data_list(some)
    given = {"clusters": batch.clusters} if "clusters" in batch else {}

    def run() -> Any:
        at = {"batch": batch.batch, "batch_size": 20}
        return network(batch.x, batch.edge_index, None, **at, **given)

    out = run()
    assert out.out.shape == (20, 2)
    assert out.out.isfinite().all()
    (out.out.square().sum() + out.auxiliary_loss).backward()
    touched = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in touched)
    assert len(touched) > 0.6 * len(list(network.parameters()))
    network.eval()
    torch.testing.assert_close(run().out, run().out)


@pytest.mark.parametrize("method", ["DiffPool", "DiffPool-Det", "DeepSets", "PyG SAG"])
def test_trainings_are_measured(method: str, graphs: sets.Graphs) -> None:
    data = data_for(method, graphs)
    settings = replace(SMALL, drop_nodes=0.2, noise=0.1)
    curves = train(data, method, settings, seed=0)
    again = train(data, method, settings, seed=0)
    assert curves.parts == again.parts
    assert curves.loss == again.loss
    assert {name: len(part) for name, part in curves.parts.items()} == {
        "train": 2,
        "val": 2,
    }


def test_a_network_learns_what_is_plain(graphs: sets.Graphs) -> None:
    data = data_for("DiffPool", graphs)
    data.split["test"] = data.split["train"]
    settings = replace(SMALL, epochs=15, lr=0.02, dropout=0.0, averaging=0.5)
    curves = train(data, "DiffPool", settings, seed=0)
    assert curves.parts["test"][-1] == 1.0
    assert curves.right("val", 8)[-1] == 8
    assert curves.loss[-1] < 0.5 * curves.loss[0]


def test_a_loss_that_is_not_finite_ends_the_training(graphs: sets.Graphs) -> None:
    data = data_for("DeepSets", graphs)
    settings = replace(SMALL, lr=1e30, epochs=9, averaging=0.0)
    with pytest.raises(FloatingPointError, match=r"got (nan|inf) in epoch \d\)"):
        train(data, "DeepSets", settings, seed=0)


def test_nodes_left_out(graphs: sets.Graphs) -> None:
    torch.manual_seed(0)
    batch = Batch.from_data_list([*graphs])
    less = without_nodes(batch, 0.5)
    assert 0.4 < less.batch.numel() / batch.batch.numel() < 0.75
    assert less.batch.unique().numel() == less.num_graphs == 40
    assert int(less.edge_index.max()) < less.batch.numel()
    assert torch.equal(less.batch[less.edge_index[0]], less.batch[less.edge_index[1]])
    assert without_nodes(batch, 0.0) is batch


def test_random_assignment_learns_no_assignment() -> None:
    count = {
        name: sum(
            p.numel()
            for p in make_network(name, 4, 2, SMALL, 6.5, METHODS).parameters()
        )
        for name in ("DiffPool", "DiffPool-Random", "DiffPool-NoLP")
    }
    assert count["DiffPool-Random"] < count["DiffPool"] == count["DiffPool-NoLP"]
    assert set(Paper.ROWS) <= set(METHODS)


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
    for n in (0, 1, 3):
        data = Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=n)
        assert transform(data).clusters[:, 0].tolist() == list(range(n))
