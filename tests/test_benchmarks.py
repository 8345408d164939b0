"""The benchmarks run, and, marked `benchmark`, the gains they show are kept."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import backends, compare, growth, operators, training_step  # noqa: E402
from benchmarks.batches import PoolingBatch, random_batch, small_batch  # noqa: E402
from benchmarks.isolated import CrashError, run_isolated  # noqa: E402
from benchmarks.methods import METHODS, assert_same, training_pass  # noqa: E402
from benchmarks.report import TABLES, write_report  # noqa: E402
from benchmarks.results import load, save  # noqa: E402
from benchmarks.sets import SPECS, Settings  # noqa: E402
from benchmarks.timing import Budget, interleave, summary  # noqa: E402

QUICK = Settings(ROOT, quick=True)


def uneven_batch(graphs: int, largest: int, clusters: int) -> PoolingBatch:
    """Sparse graphs of quadratically growing size, as uneven as real sets are."""
    sizes = (torch.linspace(0.15, 1, graphs).square() * largest).long().clamp(min=3)
    return random_batch(sizes, 2 / largest, clusters)


def test_operator_results_and_report(tmp_path: Path) -> None:
    names = ("auto", "auto + layer", "PyG dense_diff_pool", "tgp diff", "tgp diff_u")
    result = operators.measure(small_batch(), QUICK, [METHODS[name] for name in names])
    for row in result["methods"]:
        if row["name"].startswith("tgp") and row["status"].startswith("not installed"):
            assert row["time"] is None
            continue
        assert row["status"] == "ok"
        assert 0 < row["time"]["q1"] <= row["time"]["median"] <= row["time"]["q3"]
        assert row["peak_bytes"] >= 0
    content = {"datasets": [{"dataset": "small", **result}], "absent": ["DD"]}
    save("operator", content, tmp_path)
    assert load("operator", tmp_path)["run"]["versions"]["torch"] == torch.__version__
    save("backends", {"points": [backends.measure(2, 8, 0.5, 4, Budget(0))]}, tmp_path)
    written = {path.name for path in write_report(tmp_path)}
    assert written == {"report.md", "operator_time.png", "operator_memory.png"}
    text = (tmp_path / "report.md").read_text()
    assert "Absent, not measured: DD" in text
    assert "## Growth\n\nNot measured yet" in text


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_or_says_what_it_lacks(name: str) -> None:
    torch.manual_seed(0)
    try:
        run = training_pass(METHODS[name].make, small_batch())
        outputs = run()
    except ImportError as error:
        pytest.skip(str(error))
    assert all(out.isfinite().all() for out in outputs)
    assert run.leaves[0].grad is not None


def test_different_results_are_told() -> None:
    results = training_pass(METHODS["auto"].make, small_batch()).results()
    assert_same(results, results, "auto")
    for i, name in enumerate(("x", "adj", "link loss", "entropy loss")):
        other = [*results[:i], results[i] * 1.01, *results[i + 1 :]]
        with pytest.raises(AssertionError, match=f"auto: {name} differs"):
            assert_same(other, results, "auto")
        one, two = {name: results[i].numpy()}, {name: other[i].numpy()}
        assert not [*compare.differences(one, one)]
        assert f"ERROR: {name} differs" in next(compare.differences(one, two))


def allocate(mebibytes: int) -> object:
    return lambda: torch.ones(mebibytes << 18).sum()


def end(error: Exception) -> object:
    raise error


def test_isolated_runs() -> None:
    outcome = run_isolated(allocate, (64,), Budget(0.0, at_least=2))
    assert outcome["time"]["repeats"] == 2
    assert 60 << 20 < outcome["peak_bytes"] < 80 << 20
    lack = ModuleNotFoundError("None", name="absent")
    too_large = run_isolated(allocate, (16 << 10,), memory=8 << 30)
    assert too_large["status"] == "out of memory"
    assert run_isolated(end, (lack,))["status"] == "not installed: absent"
    assert run_isolated(os.abort)["status"] == "out of memory"
    with pytest.raises(CrashError, match="exit status 3"):
        run_isolated(os._exit, (3,))
    assert run_isolated(time.sleep, (9,), seconds=1.0)["status"] == "over 1 s"
    with pytest.raises(ValueError, match="broken"):
        run_isolated(end, (ValueError("broken"),))


def test_interleave_repeats_by_budget() -> None:
    calls: list[str] = []
    samples = interleave(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        Budget(1.0, at_least=3, at_most=7),
    )
    assert samples["a"]["repeats"] == samples["b"]["repeats"] == 7
    assert calls[-14:] == ["a", "b", "b", "a"] * 3 + ["a", "b"]
    quartiles = {"median": 2.0, "q1": 1.5, "q3": 2.5}
    assert summary([3.0, 1.0, 2.0]) == {**quartiles, "repeats": 3}
    assert summary([2.0]) == {"median": 2.0, "q1": 2.0, "q3": 2.0, "repeats": 1}


def labelled_graphs() -> list[Data]:
    edge_index = small_batch().edge_index[:, :1]
    labels = torch.tensor([[0], [1]])
    return [Data(x=torch.randn(9, 3), edge_index=edge_index, y=y) for y in labels]


def test_training_step() -> None:
    result = training_step.measure(labelled_graphs(), QUICK)
    assert [m["status"] for m in result["methods"]] == ["ok"] * 3


def test_compiled_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def compile_net(net: Any, **options: bool) -> Any:
        compiled.append(options)
        return net

    monkeypatch.setattr(torch, "compile", compile_net)
    graphs: Any = labelled_graphs()
    result = training_step.measure_compiled(QUICK, SPECS["ENZYMES"], graphs)
    assert compiled == [{"fullgraph": True, "dynamic": True}]
    result["methods"][1]["time"] = {"median": 3.0, "q1": 2.0, "q3": 4.0}
    *_, table = TABLES["compiled"][1]({"datasets": [{"dataset": "set", **result}]})
    head, _, row = table.splitlines()
    assert head == "|  | eager, ms | compiled, ms | x compiled |"
    assert "| 3,000 (2,000-4,000) |" in row


def test_growth_is_fitted() -> None:
    points = [
        {"method": "m", "edges": n, "nodes": 0, "time": {"median": n**1.5}}
        | {"peak_bytes": n << 20}
        for n in (1, 10, 100)
    ]
    assert growth.exponents(points)["m"] == pytest.approx({"time": 1.5, "memory": 1.0})


@pytest.mark.benchmark
@pytest.mark.parametrize(
    ("graphs", "largest", "clusters", "faster", "smaller"),
    [(64, 120, 16, 2, 1), (64, 250, 32, 3, 2), (16, 2500, 64, 30, 15)],
)
def test_operator_stays_faster_and_smaller_than_pyg(
    graphs: int, largest: int, clusters: int, faster: int, smaller: int
) -> None:
    methods = [METHODS["auto"], METHODS["PyG dense_diff_pool"]]
    batch = uneven_batch(graphs, largest, clusters)
    ours, pyg = operators.measure(batch, Settings(ROOT), methods)["methods"]
    assert ours["time"]["median"] * faster < pyg["time"]["median"]
    assert ours["peak_bytes"] * smaller < pyg["peak_bytes"]


@pytest.mark.benchmark
def test_cost_grows_with_edges_and_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "NAMES", ("auto",))
    graphs = map(growth.one_graph, (100_000, 300_000, 1_000_000))
    slopes = growth.curve(graphs, Settings(ROOT))["exponents"]["auto"]
    assert slopes["time"] < 1.3
    assert slopes["memory"] < 1.1
