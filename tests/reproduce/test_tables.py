"""The published tables run anew, on small sets."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from benchmarks.reproduce import fair, pace, paper
from benchmarks.reproduce.__main__ import main
from benchmarks.reproduce.folds import fair_fold
from benchmarks.reproduce.records import (
    MissingFoldsError,
    read_all,
    record_path,
    write_record,
)
from benchmarks.reproduce.sets import load_store
from benchmarks.reproduce.settings import FAIR_GRID, PAPER, Training
from benchmarks.timing import Budget

from pyg_diffpool.datasets import Split

SMALL = Training(epochs=2, batch_size=10, hidden=8, clusters=(4, 2))


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
    for tried in result["tried"]:
        assert set(tried) == {"val", "epoch", "seconds", "curves"}
        assert set(tried["curves"]) == {"val"}
    assert result["chosen"] == 1
    tests = [final["test"] for final in result["final"]]
    assert len(tests) == 3
    assert result["test_mean"] == pytest.approx(sum(tests) / 3)
    with pytest.raises(FileNotFoundError, match="gnn-comparison"):
        fair_fold(tmp_path, "NCI1", 40, 3)


def test_the_fair_table_has_the_end_of_trainings_that_kept_it(tmp_path: Path) -> None:
    run = {"val": 0.9, "test": 0.5, "seconds": 1.0}
    curves = [{"test": [0.5, last]} for last in (0.6, 0.7, 0.8)]
    final = {
        "DiffPool": [{**run, "curves": curve} for curve in curves],
        "DeepSets": [run] * 3,
    }
    settings = fair.describe(FAIR_GRID["ENZYMES"])
    for method, fold in product(final, range(10)):
        content = {**record(fold, []), "method": method, "final": final[method]}
        content |= {"settings": settings, "chosen": 0, "test_mean": 0.5}
        write_record(record_path(tmp_path / "fair", "ENZYMES", method, fold), content)
    main(["fair", "--results", str(tmp_path), "--report"])
    table = (tmp_path / "fair" / "fair.md").read_text()
    assert "| ours | at the end | published |" in table
    assert "| ENZYMES | DiffPool | 50.00 ± 0.00 | 70.00 ± 0.00 | 59.5 ± 5.6 |" in table
    assert "| ENZYMES | DeepSets | 50.00 ± 0.00 |  | 65.2 ± 6.4 |" in table
