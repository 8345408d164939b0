"""The benchmarks run, and, marked `benchmark`, the gains they show are kept."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import grid, growth, operators, training_step  # noqa: E402
from benchmarks.batches import PoolingBatch, small_batch, with_noise  # noqa: E402
from benchmarks.isolated import Limits, Outcome, run_isolated  # noqa: E402
from benchmarks.methods import METHODS, floor, training_pass  # noqa: E402
from benchmarks.methods.diffpool import compare  # noqa: E402
from benchmarks.report import write_report  # noqa: E402
from benchmarks.results import load, save  # noqa: E402
from benchmarks.settings import Settings  # noqa: E402
from benchmarks.timing import Budget, Sample, interleave  # noqa: E402

QUICK = Settings(ROOT, quick=True)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def uneven_batch(graphs: int, largest: int, clusters: int) -> PoolingBatch:
    """Rings of quadratically growing size, as uneven as real sets are."""
    share = torch.linspace(0.15, 1, graphs).square()
    sizes = (share * largest).long().clamp(min=3)
    batch = torch.arange(graphs).repeat_interleave(sizes)
    first = (sizes.cumsum(0) - sizes)[batch]
    node = torch.arange(batch.numel())
    after = first + (node - first + 1) % sizes[batch]
    edges = torch.cat([torch.stack([node, after]), torch.stack([after, node])], 1)
    order = (edges[0] * batch.numel() + edges[1]).argsort()
    return with_noise(edges[:, order], batch, clusters)


def test_operator_results_and_report(tmp_path: Path) -> None:
    names = ("auto", "auto + layer", "PyG dense_diff_pool", "tgp diff", "tgp diff_u")
    chosen = [METHODS[name] for name in names]
    result = operators.measure(small_batch(), QUICK, chosen)
    for row in result["methods"]:
        if row["name"].startswith("tgp") and row["status"].startswith("not installed"):
            assert row["time"] is None
            continue
        assert row["status"] == "ok"
        assert 0 < row["time"]["q1"] <= row["time"]["median"] <= row["time"]["q3"]
        assert row["peak_bytes"] >= 0
    entry = {"dataset": "small", "seed": 0, **result}
    content = {"threads": 1, "datasets": [entry], "absent": ["DD"]}
    save("operator", content, tmp_path)
    assert load("operator", tmp_path)["run"]["versions"]["torch"] == torch.__version__
    written = {path.name for path in write_report(tmp_path)}
    assert {"report.md", "operator_time.png", "operator_memory.png"} <= written
    text = (tmp_path / "report.md").read_text()
    assert "Absent, not measured: DD" in text
    assert "not measured yet" in text.lower()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_or_says_what_it_lacks(name: str) -> None:
    torch.manual_seed(0)
    try:
        run = training_pass(METHODS[name], small_batch())
        outputs = run()
    except ImportError as error:
        pytest.skip(str(error))
    assert all(out.isfinite().all() for out in outputs)
    assert run.leaves.x.grad is not None


def test_floor_runs() -> None:
    floor(small_batch())()


def test_compare_tells_different_results() -> None:
    run = training_pass(METHODS["auto"], small_batch())
    results = [*(out.detach() for out in run()), run.leaves.x.grad, run.leaves.s.grad]
    compare(results, results, "auto")
    for i, name in enumerate(("x", "adj", "link loss", "entropy loss")):
        other = [*results[:i], results[i] * 1.01, *results[i + 1 :]]
        with pytest.raises(AssertionError, match=f"auto: {name} differs"):
            compare(other, results, "auto")


def allocate(mebibytes: int) -> object:
    return lambda: torch.ones(mebibytes << 18).sum()


def fail() -> object:
    raise ValueError("broken")


def end(signal_or_status: int) -> object:
    if signal_or_status < 0:
        os.kill(os.getpid(), -signal_or_status)
    os._exit(signal_or_status)


def lack() -> object:
    raise ModuleNotFoundError("No module named 'absent'", name="absent")


def test_isolated_runs() -> None:
    outcome = run_isolated(allocate, (64,), Budget(0.0, at_least=2))
    assert outcome.ok
    assert len(outcome.times) == 3
    assert 60 << 20 < outcome.peak < 80 << 20
    tight = Limits(memory=8 << 30)
    assert run_isolated(allocate, (16 << 10,), limits=tight).status == "out of memory"
    assert run_isolated(lack, ()) == Outcome("not installed: absent")
    with pytest.raises(RuntimeError, match="broken"):
        run_isolated(fail, ())
    assert run_isolated(end, (-signal.SIGKILL,)).status == "out of memory"
    with pytest.raises(RuntimeError, match="ended with 3"):
        run_isolated(end, (3,))


def test_interleave_repeats_by_budget() -> None:
    calls: list[str] = []
    samples = interleave(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        Budget(1.0, at_least=3, at_most=7),
    )
    assert samples["a"].repeats == samples["b"].repeats == 7
    assert calls[-14:] == ["a", "b", "b", "a"] * 3 + ["a", "b"]
    assert Sample.of([3.0, 1.0, 2.0]) == Sample(2.0, 1.5, 2.5, 3)


def test_training_step_and_grid() -> None:
    batch = small_batch()
    graphs = [
        Data(
            x=torch.randn(9, 3), edge_index=batch.edge_index[:, :1], y=torch.tensor([y])
        )
        for y in (0, 1)
    ]
    result = training_step.measure(graphs, QUICK)
    assert [m["status"] for m in result["methods"]] == ["ok"] * 3
    point = grid.measure(4, 8, 4, 4, Budget(0.01, at_most=3))
    assert grid.summarise([point])["of"] == 1


def test_ring_and_exponents() -> None:
    edge_index, batch = growth.shuffled_ring(200)
    assert batch.numel() == 20
    assert edge_index.size(1) == 200
    assert (edge_index[0].bincount() == 10).all()
    assert Data(edge_index=edge_index, num_nodes=20).is_undirected()
    points = [
        {"method": "m", "edges": n, "nodes": 0, "time": {"median": n**1.5}}
        | {"peak_bytes": n << 20}
        for n in (1, 10, 100)
    ]
    assert growth.exponents(points)["m"] == pytest.approx({"time": 1.5, "memory": 1.0})


@pytest.mark.benchmark
@pytest.mark.parametrize(
    ("graphs", "largest", "clusters", "at_least"),
    [(64, 120, 16, 2.0), (64, 250, 32, 3.0), (16, 2500, 64, 30.0)],
)
def test_operator_stays_faster_than_pyg(
    graphs: int, largest: int, clusters: int, at_least: float
) -> None:
    batch = uneven_batch(graphs, largest, clusters)
    names = ("auto", "PyG dense_diff_pool")
    passes = {name: training_pass(METHODS[name], batch) for name in names}
    samples = interleave(passes, Budget(1.0, at_least=3, at_most=30))
    ours, pyg = (samples[name].median for name in names)
    assert pyg / ours > at_least


@pytest.mark.benchmark
def test_operator_stays_smaller_than_pyg() -> None:
    batch = uneven_batch(16, 2500, 64)
    chosen = [METHODS[name] for name in ("auto", "PyG dense_diff_pool")]
    ours, pyg = operators.peak_memory(batch, chosen, Settings(ROOT)).values()
    assert ours.peak * 15 < pyg.peak


@pytest.mark.benchmark
def test_cost_grows_with_edges_and_nodes() -> None:
    points = []
    for edges in (100_000, 300_000, 1_000_000):
        outcome = run_isolated(growth.prepare_graph, ("auto", edges), Budget(1.0))
        time = Sample.of(list(outcome.times[1:])).as_dict()
        row = {"method": "auto", "edges": edges, "nodes": edges // 10, "time": time}
        points.append(row | {"peak_bytes": outcome.peak})
    slopes = growth.exponents(points)["auto"]
    assert slopes["time"] < 1.3
    assert slopes["memory"] < 1.1
