"""Planted graphs, the tables made of them, and what they report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.reproduce import hierarchy, partitions, planted, when
from benchmarks.reproduce.__main__ import main
from benchmarks.reproduce.hierarchy import accuracy, best_flat, paired
from benchmarks.reproduce.networks import make_network
from benchmarks.reproduce.partitions import SPECTRAL, Fit, fit_clusters
from benchmarks.reproduce.planted import load_planted
from benchmarks.reproduce.sets import AbsentSetError, Graphs
from benchmarks.results import FOLDER
from sklearn.metrics import normalized_mutual_info_score
from torch_geometric.utils import degree

from pyg_diffpool import diff_pool

# Of the published small sets: edges a node, and edges between the moons a graph.
SMALL = {"hard-small": (3.836, 13.0), "easy-small": (6.160, 20.2)}


@pytest.mark.parametrize("name", SMALL)
def test_graph_class_is_as_published(name: str) -> None:
    graphs, split = load_planted(name, None)
    assert {part: len(rows) for part, rows in split.items()} == {
        "train": 243,
        "val": 27,
        "test": 30,
    }
    assert torch.cat([*split.values()]).sort().values.tolist() == [*range(300)]
    assert torch.cat([graph.y for graph in graphs]).bincount().tolist() == [100] * 3
    nodes = sum(graph.num_nodes for graph in graphs)
    moons = 0
    for graph in graphs:
        label = graph.x.argmax(1)[graph.edge_index]
        moons += int(((label[0] == 0) & (label[1] == 1)).sum())
        assert graph.is_undirected()
    rate, between = SMALL[name]
    edges = sum(graph.num_edges for graph in graphs)
    assert edges / nodes == pytest.approx(rate, rel=0.01)
    assert moons / 300 == pytest.approx(between, rel=0.06)


def test_published_sets_are_read_with_their_split(tmp_path: Path) -> None:
    with pytest.raises(AbsentSetError, match="hard_small"):
        load_planted("hard-small-published", tmp_path)
    arrays = {
        "num_nodes": [2, 3],
        "num_edges": [2, 2],
        "node_label": [0, 4, 1, 2, 3],
        "row": [0, 1, 1, 2],
        "col": [1, 0, 2, 1],
        "y": [2, 1],
        "split": [2, 0],
    }
    small = {name: np.array(values, np.int8) for name, values in arrays.items()}
    np.savez(tmp_path / "graphclass_hard_small.npz", **small)
    load_planted.cache_clear()
    graphs, split = load_planted("hard-small-published", tmp_path)
    assert [rows.tolist() for rows in split.values()] == [[1], [], [0]]
    assert graphs[1].x.argmax(1).tolist() == [1, 2, 3]
    assert graphs[1].edge_index.tolist() == [[1, 2], [2, 1]]
    assert graphs[0].y.tolist() == [2]


def test_most_communities_have_the_colour_of_the_label() -> None:
    more = []
    for seed in range(40):
        graph = planted._communities(seed)
        community, color = graph.clusters[:, 0], graph.x.argmax(1)
        votes = [int(color[community == c].double().mean() > 0.5) for c in range(9)]
        assert votes.count(int(graph.y)) == planted.MANY == 5
        row, col = graph.edge_index
        inside = community[row] == community[col]
        assert (degree(row[inside], graph.num_nodes) == 4).all()
        assert degree(row[~inside], graph.num_nodes).max() == 1
        more.append(int((color == graph.y).sum()) - graph.num_nodes / 2)
    assert abs(np.mean(more)) < 3 * np.std(more) / 40**0.5  # no more nodes than others


def test_positions_are_beside_the_colours() -> None:
    graph = planted.with_positions(planted._communities(0))
    assert graph.x.shape == (graph.num_nodes, 2 + planted.POSITIONS)
    assert "positions" not in graph
    positions = graph.x[:, 2:]
    torch.testing.assert_close(positions.norm(dim=1), torch.ones(graph.num_nodes))
    same = graph.clusters[:, :1] == graph.clusters[:, 0]
    near = positions @ positions.T
    assert near[same].mean() > 0.8 > 0.2 > near[~same].mean()


@pytest.mark.parametrize("name", planted.PARTITIONS)
def test_blocks_have_their_degrees(name: str) -> None:
    own, inside, ends = planted.PARTITIONS[name], 0, 0
    for seed in range(8):
        graph = planted.planted(name, False, seed)
        row, col = graph.block[graph.edge_index].squeeze(-1)
        inside += int((row == col).sum())
        ends += graph.num_nodes
        assert 49 <= graph.num_nodes <= 503
        assert 3 <= int(graph.block.max()) + 1 <= 8
    assert inside / ends == pytest.approx(own.inside, rel=0.08)


def test_nested_blocks() -> None:
    graph = planted.nested(0)
    fine, coarse = graph.block.unbind(1)
    torch.testing.assert_close(coarse, fine // 3)
    ends = graph.edge_index
    same_block = (fine[ends[0]] == fine[ends[1]]).double().mean()
    same_community = (coarse[ends[0]] == coarse[ends[1]]).double().mean()
    assert same_block == pytest.approx(10 / 16, abs=0.06)
    assert same_community == pytest.approx(14 / 16, abs=0.04)


@pytest.mark.parametrize(
    "method", ["DiffPool normalize=False", "PyG MinCut", "PyG DMoN", SPECTRAL]
)
def test_easy_blocks_are_found(method: str) -> None:
    graph = planted.planted("easy", True, 2)
    (share,) = fit_clusters(graph, method, 0, Fit(steps=100))
    torch.testing.assert_close(share.sum(1), torch.ones(graph.num_nodes))
    found, truth = share.argmax(1), graph.block.view(-1)
    assert normalized_mutual_info_score(truth.numpy(), found.numpy()) > 0.7


def record(val: list[int], test: list[int]) -> dict[str, Any]:
    return {"graphs": {"val": 100, "test": 100}, "val": val, "test": test}


def test_paired_differences() -> None:
    flat = {seed: record([9, 5], [50, 99]) for seed in range(4)}
    ours = {seed: record([1, 9, 9], [0, 51 + seed, 99]) for seed in range(3)}
    assert accuracy(ours[2], "test") == 0.53
    # mean 2, deviation 1: 2 -+ 4.303 / sqrt(3), t = 2 sqrt(3)
    assert paired(ours, flat) == "+2.0 (-0.5 to +4.5), p = 0.07"
    assert paired({0: ours[0]}, flat) == ""
    assert paired(flat, flat) == "+0.0 in each"


def test_the_best_flat_network_is_chosen_on_validation_graphs() -> None:
    there = {
        "GIN": {0: record([7], [1])},
        "GraphSAGE": {0: record([6], [9])},
        "DiffPool": {0: record([9], [9])},
    }
    assert best_flat(there) == "GIN"
    there["GraphSAGE"][1] = record([6], [9])
    assert best_flat(there) == "GraphSAGE"  # which has more seeds
    assert best_flat({"DiffPool": there["DiffPool"]}) is None


def test_positions_assign_and_colours_are_embedded() -> None:
    graph = planted.with_positions(planted._communities(0))
    own = replace(hierarchy.SETTINGS[planted.POSITIONED], hidden=8)
    name, width = "DiffPool by positions", graph.num_features
    net: Any = make_network(name, width, 2, own, 1.0, hierarchy.OURS).eval()
    moved = graph.x.clone()
    moved[:, 2:] *= -1
    batch = torch.zeros(graph.num_nodes, dtype=torch.long)
    one, other = (
        net(x, graph.edge_index, None, batch, 1).levels[0] for x in (graph.x, moved)
    )
    torch.testing.assert_close(one.embedding, other.embedding)
    assert (one.assignment - other.assignment).abs().max() > 1e-3
    weight = torch.full((graph.num_edges,), 5.0)
    given = graph.x, graph.edge_index, one.assignment.log()
    again = diff_pool(*given, edge_weight=weight, normalize=False)
    torch.testing.assert_close(one.link_loss, again.link_loss)


def test_the_picture_is_of_the_records() -> None:
    left, right = when.draw(FOLDER / "reproduce").axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names[0] == "best flat network"
    assert len(right.get_lines()) == len(when.LINES)


METHODS = "GIN (mean),DiffPool,DiffPool-Det,DiffPool + normalized,PyG MinCut,PyG TopK"


def test_table_of_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = Graphs(planted._communities(seed) for seed in range(12))
    split = dict(zip(planted.PARTS, torch.arange(12).split([8, 2, 2]), strict=True))
    monkeypatch.setattr(hierarchy, "load_planted", lambda *_: (graphs, split))
    small = "epochs=2;hidden=8;layers=1"
    command = ["hierarchy", "--sets", "communities", "--results", str(tmp_path)]
    command += ["--methods", METHODS, "--with", small]
    main([*command, "--folds", "0,1"])
    text = (tmp_path / "hierarchy.md").read_text()
    rows = [
        line.split(" | ") for line in text.splitlines() if "| communities |" in line
    ]
    assert [row[1] for row in rows] == METHODS.split(",")
    assert all(0 <= float(row[3]) <= 100 and row[4] == "2" for row in rows)
    assert rows[1][5].endswith(" in each") or ", p " in rows[1][5]
    assert len(rows[1][6].split(", ")) == 2
    before = (tmp_path / "hierarchy.jsonl").read_text()
    main([*command, "--folds", "0"])
    assert (tmp_path / "hierarchy.jsonl").read_text() == before


def test_table_of_partitions(tmp_path: Path) -> None:
    command = ["partitions", "--sets", "nested", "--results", str(tmp_path)]
    main([*command, "--folds", "0,1", "--with", "steps=2"])
    text = (tmp_path / "partitions.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if "| nested |" in line]
    assert [row[1] for row in rows] == [*partitions.Partitions.METHODS]
    assert all(0 <= float(row[3]) <= 100 for row in rows)
    assert all(" of 9.0, " in row[6] and row[6].endswith(" of 3.0") for row in rows)
