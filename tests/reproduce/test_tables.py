"""The published tables run anew, on small sets."""

import json
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from benchmarks.reproduce import pace
from benchmarks.reproduce.__main__ import TABLES, main
from benchmarks.reproduce.table import Table

NAME = "REDDIT-MULTI-12K"  # whose folds are not kept: any number of graphs will do
SMALL = {"epochs": 1, "hidden": 8, "clusters": (4, 2)}


def arguments(root: Path, results: Path, *more: str) -> list[str]:
    changes = ";".join(f"{name}={value}" for name, value in SMALL.items())
    common = ["--data", str(root), "--results", str(results), "--with", changes]
    return ["paper", "--sets", NAME, "--methods", "GraphSAGE", *common, *more]


def table_of(path: Path, **changes: object) -> Table:
    options = Namespace(results=path.parent, sets=None, changes=changes)
    return TABLES[path.stem](options)


def write(path: Path, name: str, method: str, folds: range, **more: object) -> None:
    for fold in folds:
        record = {"set": name, "method": method, "fold": fold, **more}
        graphs = {"train": 90, "val": 10, "test": 10}
        table_of(path).append({"graphs": graphs, **record})


def test_folds_dealt_out_then_joined(tu_root: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    with pytest.raises(SystemExit, match="folds 4,5,6,7,8,9 are missing"):
        main(arguments(tu_root, results, "--folds", "0,1,2,3"))
    assert not (results / "paper.md").exists()
    main(arguments(tu_root, results, "--folds", "4,5,6,7,8,9"))
    before = (results / "paper.jsonl").read_text()
    assert f"| {NAME} | GraphSAGE |" in (results / "paper.md").read_text()
    assert (results / "paper.png").stat().st_size > 1000
    main(arguments(tu_root, results))  # nothing is left to do
    assert (results / "paper.jsonl").read_text() == before
    kept = [line for line in before.splitlines(True) if '"fold":3' not in line]
    (results / "paper.jsonl").write_text("".join(kept))
    with pytest.raises(SystemExit, match="folds 3 are missing"):
        main(arguments(tu_root, results, "--report"))
    with pytest.raises(SystemExit, match="to be of these settings"):
        main([*arguments(tu_root, results), "--with", "epochs=2"])
    with pytest.raises(SystemExit, match="'--with' settings of epochs"):
        main([*arguments(tu_root, results), "--with", "epoch=2"])


def test_the_best_epoch_is_that_of_the_mean_curve(tmp_path: Path) -> None:
    path = tmp_path / "paper.jsonl"
    write(path, "ENZYMES", "DiffPool", range(5), val=[9, 5, 6])
    write(path, "ENZYMES", "DiffPool", range(5, 10), val=[1, 7, 5])
    main(["paper", "--results", str(tmp_path), "--report"])
    # each fold's own best would give 80
    table = (tmp_path / "paper.md").read_text()
    assert "| ENZYMES | DiffPool | 60.00 ± 10.00 | 62.53 |" in table
    more = ["--report", "--sets", "PROTEINS", "--methods", "GraphSAGE"]
    with pytest.raises(SystemExit, match="of GraphSAGE on PROTEINS"):
        main(["paper", "--results", str(tmp_path), *more])


def test_appended_lines_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "paper.jsonl"
    names = [f"method {i}" for i in range(8)]

    def append(name: str) -> None:
        write(path, "DD", name, range(3), val=[1] * 5000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, names))
    for name in names:
        assert sorted(table_of(path).read("DD")[name]) == [0, 1, 2]


def test_no_rows_leave_an_older_table_alone(tmp_path: Path) -> None:
    (tmp_path / "paper.md").write_text("older")
    with pytest.raises(SystemExit, match="folds of any of ENZYMES"):
        main(["paper", "--results", str(tmp_path), "--report"])
    results = ["--results", str(tmp_path), "--data", str(tmp_path)]
    with pytest.raises(SystemExit, match="folds of any of ENZYMES"):
        main(["paper", "--sets", "ENZYMES", *results])
    assert (tmp_path / "paper.md").read_text() == "older"


def test_absent_sets_are_left_out_by_name(
    tu_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*arguments(tu_root, tmp_path), "--sets", f"{NAME},DD"])
    assert "DD is left out" in capsys.readouterr().err
    assert "DD could not be had" in (tmp_path / "paper.md").read_text()


def test_fair_chooses_on_validation_and_tests_three_trainings(
    tu_root: Path, tmp_path: Path
) -> None:
    parts = {"train": [*range(30)], "validation": [*range(30, 35)]}
    entry = {"test": [*range(35, 40)], "model_selection": [parts]}
    run = ["fair", *arguments(tu_root, tmp_path / "results")[1:], "--folds", "0,3"]
    with pytest.raises(SystemExit, match="gnn-comparison"):
        main([*run, "--splits", str(tmp_path)])
    (tmp_path / f"{NAME}_splits.json").write_text(json.dumps([entry] * 10))
    with pytest.raises(SystemExit, match="folds 1,2,4,5"):
        main([*run, "--splits", str(tmp_path)])
    table = table_of(tmp_path / "results" / "fair.jsonl", **SMALL)
    record = table.read(NAME)["GraphSAGE"][3]
    assert record["graphs"] == {"train": 30, "val": 5, "test": 5}
    assert len(record["tried"]) == 2
    assert [len(run["test"]) for run in record["final"]] == [1, 1, 1]


def test_the_fair_table_has_the_end_of_trainings_that_kept_it(tmp_path: Path) -> None:
    path = tmp_path / "fair.jsonl"
    curves = [{"val": [9, 8], "test": [5, last]} for last in (6, 7, 8)]
    write(path, "ENZYMES", "DiffPool", range(10), final=curves)
    write(path, "ENZYMES", "DeepSets", range(10), final=[{"val": [9], "test": [5]}] * 3)
    main(["fair", "--results", str(tmp_path), "--report"])
    table = (tmp_path / "fair.md").read_text()
    assert "| ours | at the end | published |" in table
    assert "| ENZYMES | DiffPool | 50.00 ± 0.00 | 70.00 ± 0.00 | 59.5 ± 5.6 |" in table
    assert "| ENZYMES | DeepSets | 50.00 ± 0.00 |  | 65.2 ± 6.4 |" in table


def test_pace_beside_padded_graphs(
    tu_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "ROUNDS", 1)
    main(["pace", *arguments(tu_root, tmp_path)[1:]])
    row = json.loads((tmp_path / "pace.json").read_text())["rows"][0]
    ours, dense = (row["seconds"][method]["median"] for method in pace.METHODS)
    assert row["graphs"] == 36
    assert f"| {dense / ours:.1f} |" in (tmp_path / "pace.md").read_text()
