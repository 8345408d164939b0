"""The graphs and features of the tables."""

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.reproduce import features
from benchmarks.reproduce.features import DEGREE_BINS
from benchmarks.reproduce.folds import paper_fold
from benchmarks.reproduce.graph_store import GraphStore
from benchmarks.reproduce.sets import AbsentSetError, load_store, standardized
from torch_geometric.data import Batch, Data
from torch_geometric.datasets import TUDataset


def test_mini_batches_are_pygs(tu_root: Path) -> None:
    dataset = TUDataset(str(tu_root), "ENZYMES")
    store = GraphStore.of(list(dataset))
    chosen = torch.tensor([7, 0, 23])
    ours, pyg = store.take(chosen), Batch.from_data_list([dataset[i] for i in chosen])
    for name in ("x", "edge_index", "batch", "y"):
        assert torch.equal(getattr(ours, name), pyg[name])
    random = torch.Generator().manual_seed(0)
    parts = list(store.batches(torch.arange(40), 13, random))
    assert [part.num_graphs for part in parts] == [13, 13, 14]
    assert sum(part.batch.numel() for part in parts) == store.x.size(0)


def test_all_graphs_and_features_of_the_training_part_alone(tu_root: Path) -> None:
    store = load_store("ENZYMES", tu_root, ())
    assert len(store) == 40
    assert store.x.size(1) == 3 + 1  # labels, degree
    train_part = torch.arange(0, 40, 2)
    ready = standardized(store, train_part)
    degrees = ready.node_rows(train_part)[:, 3]
    torch.testing.assert_close(degrees.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(degrees.std(correction=0), torch.tensor(1.0))
    assert load_store("COLLAB", tu_root, ()).x.size(1) == DEGREE_BINS + 6


@pytest.mark.parametrize("dense", [512, 0])
def test_triangle_features_are_networkxs(
    dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    networkx = pytest.importorskip("networkx")
    monkeypatch.setattr(features, "_DENSE", dense)
    graph = networkx.gnp_random_graph(30, 0.2, seed=0)
    graph.add_edge(0, 0)
    graph.add_node(30)
    edges = torch.tensor(list(graph.edges)).t()
    twice = torch.cat([edges, edges.flip(0), edges[:, :3]], 1)
    clustering, *shared = features.triangle_features(twice, 31).unbind(1)
    theirs = torch.tensor(list(networkx.clustering(graph).values()))
    torch.testing.assert_close(clustering, theirs)
    graph.remove_edge(0, 0)
    logs = [_logs_of_common_neighbors(graph, node) for node in range(31)]
    theirs = torch.stack([torch.stack(_summary(log)) for log in logs], 1)
    torch.testing.assert_close(torch.stack(shared), theirs)


def _logs_of_common_neighbors(graph: Any, node: int) -> torch.Tensor:
    near = graph.adj
    counts = [len(near[node].keys() & near[end].keys()) for end in near[node]]
    return torch.tensor(counts or [0]).log1p()


def _summary(log: torch.Tensor) -> list[torch.Tensor]:
    return [log.min(), log.mean(), log.max(), log.std(correction=0)]


def test_an_absent_set_is_named_with_the_way_to_get_it(tu_root: Path) -> None:
    with pytest.raises(AbsentSetError, match=r"REDDIT-MULTI-12K\.zip"):
        load_store("REDDIT-MULTI-12K", tu_root, ())


def test_paper_folds_partition() -> None:
    y = torch.arange(60) % 3
    folds = [paper_fold(y, fold) for fold in range(10)]
    assert torch.equal(torch.cat([f.val for f in folds]).sort()[0], torch.arange(60))
    for fold in folds:
        both = torch.cat([fold.train, fold.val])
        assert torch.equal(both.sort()[0], torch.arange(60))
        assert y[fold.val].bincount().tolist() == [2, 2, 2]


def test_store_of_graphs_without_edges() -> None:
    empty = torch.empty(2, 0, dtype=torch.long)
    graphs = [Data(torch.ones(n, 1), empty, y=torch.tensor([0])) for n in (1, 2)]
    batch = GraphStore.of(graphs).take(torch.tensor([1, 0]))
    assert batch.batch.tolist() == [0, 0, 1]
    assert batch.edge_index.shape == (2, 0)
