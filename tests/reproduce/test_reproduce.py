"""The published tables run anew, on small sets."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.reproduce import fair, features, pace, paper
from benchmarks.reproduce.__main__ import main
from benchmarks.reproduce.features import DEGREE_BINS
from benchmarks.reproduce.folds import fair_fold, paper_fold
from benchmarks.reproduce.graph_store import GraphStore
from benchmarks.reproduce.networks import METHODS, Shape, make_network
from benchmarks.reproduce.networks.dropout import ByteDropout
from benchmarks.reproduce.records import (
    MissingFoldsError,
    read_all,
    record_path,
    write_record,
)
from benchmarks.reproduce.sets import AbsentSetError, load_store, standardized
from benchmarks.reproduce.settings import PAPER, Training
from benchmarks.reproduce.training import augmented, train
from benchmarks.timing import Budget
from torch_geometric.data import Batch, Data
from torch_geometric.datasets import TUDataset

from pyg_diffpool.datasets import Split

SMALL = Training(epochs=2, batch_size=10, hidden=8, clusters=(4, 2))


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


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns(method: str, tu_root: Path) -> None:
    if method == "DiffPool-Det":
        pytest.importorskip("pymetis")
    if method == "tgp diff":
        pytest.importorskip("tgp")
    store = load_store(
        "ENZYMES", tu_root, SMALL.clusters if method == "DiffPool-Det" else ()
    )
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


def record(fold: int, val: list[float]) -> dict[str, object]:
    return {
        "method": "DiffPool",
        "fold": fold,
        "val": val,
        "seconds": 1.0,
        "graphs": {"train": 9, "val": 1},
        "parameters": 5,
        "run": {"commit": "abc"},
    }


def test_the_best_epoch_is_that_of_the_mean_curve() -> None:
    result = paper.summary([record(0, [0.9, 0.5, 0.6]), record(1, [0.1, 0.7, 0.5])])
    assert result["epoch"] == 2
    assert result["accuracy"] == 60.0  # each fold's own best would give 80
    assert result["folds"] == [50.0, 70.0]
    assert result["last"] == 55.0


def arguments(root: Path, results: Path, *more: str) -> list[str]:
    common = ["--data", str(root), "--results", str(results), "--with", "epochs=1"]
    return ["paper", "--sets", "ENZYMES", "--methods", "GraphSAGE", *common, *more]


def test_folds_dealt_out_then_joined(
    tu_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    with pytest.raises(SystemExit, match="folds 4, 5, 6, 7, 8, 9 are missing"):
        main(arguments(tu_root, results, "--folds", "0,1,2,3"))
    assert not (results / "paper" / "paper.md").exists()
    main(arguments(tu_root, results, "--folds", "4,5,6,7,8,9"))
    row = json.loads((results / "paper" / "paper.json").read_text())["rows"][0]
    assert len(row["folds"]) == 10
    assert row["graphs"] == 40
    assert row["published"] == 54.25
    assert (results / "paper" / "paper.png").stat().st_size > 1000

    def fail(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(paper, "train", fail)
    main(arguments(tu_root, results))  # nothing is left to do
    broken = results / "paper" / "ENZYMES" / "GraphSAGE" / "fold-3.json"
    broken.unlink()
    with pytest.raises(SystemExit, match="folds 3 are missing"):
        main(arguments(tu_root, results, "--report"))


def test_a_report_has_the_rows_of_which_there_is_a_fold(tmp_path: Path) -> None:
    folder = tmp_path / "paper"
    ran = [("ENZYMES", "DiffPool"), ("ENZYMES", "GraphSAGE"), ("PROTEINS", "DiffPool")]
    for name, method in ran:
        for fold in range(10):
            content = {**record(fold, [0.5]), "method": method}
            settings = PAPER[name].describe()
            path = record_path(folder, name, method, fold)
            write_record(path, {**content, "settings": settings})
    report = ["paper", "--results", str(tmp_path), "--report"]
    main(report)
    rows = json.loads((folder / "paper.json").read_text())["rows"]
    assert [(row["dataset"], row["method"]) for row in rows] == ran
    with pytest.raises(SystemExit, match="of GraphSAGE on PROTEINS"):
        main([*report, "--sets", "PROTEINS", "--methods", "GraphSAGE"])
    record_path(folder, "PROTEINS", "DiffPool", 4).unlink()
    with pytest.raises(SystemExit, match="folds 4 are missing"):
        main(report)


def test_no_rows_leave_an_older_table_alone(tmp_path: Path) -> None:
    folder = tmp_path / "paper"
    folder.mkdir()
    (folder / "paper.md").write_text("older")
    with pytest.raises(SystemExit, match="folds of any of ENZYMES"):
        main(["paper", "--results", str(tmp_path), "--report"])
    nowhere = ["--sets", "ENZYMES", "--data", str(tmp_path)]
    with pytest.raises(SystemExit, match="folds of any of ENZYMES"):
        main(["paper", "--results", str(tmp_path), *nowhere])
    assert [*folder.iterdir()] == [folder / "paper.md"]


def test_pace_beside_padded_graphs(
    tu_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "BUDGET", Budget(0.0, at_least=1, at_most=1))
    where = ["--data", str(tu_root), "--results", str(tmp_path)]
    pace.main(["--sets", "ENZYMES", *where])
    row = json.loads((tmp_path / "pace.json").read_text())["rows"][0]
    ours, dense = (row["seconds"][method]["median"] for method in pace.METHODS)
    assert row["graphs"] == 36
    assert f"| {dense / ours:.1f} |" in (tmp_path / "pace.md").read_text()


def test_records_of_other_settings_are_refused(tu_root: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    with pytest.raises(SystemExit):
        main(arguments(tu_root, results, "--folds", "0"))
    with pytest.raises(SystemExit, match="of these settings"):
        main([*arguments(tu_root, results, "--folds", "0"), "--with", "epochs=2"])
    with pytest.raises(SystemExit, match="'--with' settings of epochs"):
        main([*arguments(tu_root, results), "--with", "epoch=2"])
    with pytest.raises(MissingFoldsError):
        read_all(tmp_path, "ENZYMES", "DiffPool", {})


def test_absent_sets_are_left_out_by_name(
    tu_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    sets = "ENZYMES,REDDIT-MULTI-12K"
    main([*arguments(tu_root, results), "--sets", sets])
    assert "REDDIT-MULTI-12K is left out" in capsys.readouterr().err
    table = (results / "paper" / "paper.md").read_text()
    assert "REDDIT-MULTI-12K could not be had" in table


def test_fair_chooses_on_validation_and_tests_three_trainings(
    tu_root: Path, tmp_path: Path
) -> None:
    parts = {"train": [*range(30)], "validation": [*range(30, 35)]}
    entry = {"test": [*range(35, 40)], "model_selection": [parts]}
    (tmp_path / "ENZYMES_splits.json").write_text(json.dumps([entry] * 10))
    split = fair_fold(tmp_path, "ENZYMES", 40, 3)
    assert isinstance(split, Split)
    assert split.sizes == (30, 5, 5)
    store = load_store("ENZYMES", tu_root, ())
    grid = (replace(SMALL, lr=1e-9), replace(SMALL, lr=0.02, epochs=15, averaging=0))
    result = fair.run_fold(store, split, "GraphSAGE", 3, grid)
    assert [set(tried) for tried in result["tried"]] == [
        {"val", "epoch", "seconds"}
    ] * 2
    assert result["chosen"] == 1
    tests = [final["test"] for final in result["final"]]
    assert len(tests) == 3
    assert result["test_mean"] == pytest.approx(sum(tests) / 3)
    with pytest.raises(FileNotFoundError, match="gnn-comparison"):
        fair_fold(tmp_path, "NCI1", 40, 3)


def test_store_of_graphs_without_edges() -> None:
    empty = torch.empty(2, 0, dtype=torch.long)
    graphs = [Data(torch.ones(n, 1), empty, y=torch.tensor([0])) for n in (1, 2)]
    batch = GraphStore.of(graphs).take(torch.tensor([1, 0]))
    assert batch.batch.tolist() == [0, 0, 1]
    assert batch.edge_index.shape == (2, 0)


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
