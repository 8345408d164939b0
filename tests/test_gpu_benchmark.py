"""`python -m benchmarks gpu`, tried without a GPU."""

import json
import os
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.batches import small_batch, sparse_batch
from benchmarks.gpu import device, parts
from benchmarks.gpu.device import Job, random_graph
from benchmarks.gpu.report import faults, write_report
from benchmarks.gpu.runner import measure, run_part
from benchmarks.results import FOLDER, load, save
from benchmarks.sets import SPECS
from torch_geometric.utils import contains_self_loops, is_undirected

CUDA = f"@pytest.mark.{'cuda'}\n"  # by which this file would be taken for one of them
QUICK = Job("cpu", quick=True, root="nowhere")


def test_the_whole_command(tmp_path: Path) -> None:
    where = ["--device", "cpu", "--quick", "--results", str(tmp_path)]
    wanted = ["--parts", "operator", "launches", "capture"]
    command = [sys.executable, "-m", "benchmarks", "gpu", *where, *wanted]
    subprocess.run(command, cwd=parts.ROOT, check=True)
    folder = tmp_path / "quick" / "gpu"
    result: Any = load("cpu", folder)
    assert [*result["parts"]] == ["card", *wanted[1:]]
    for name, record in result["parts"].items():
        assert record["status"] == "ok"
        assert all(c["status"] == "ok" for c in record["cases"]) == (name != "capture")
    for case in result["parts"]["operator"]["cases"]:
        assert case["least_bytes"] > 8 * 64 * case["batch"]["nodes"]
        assert 1.4 < case["kernel_bytes"] / case["least_bytes"] < 2.02
        for method in case["methods"]:
            assert method["time"]["median"] > 0
            assert method["error"] < (1e-5 if "float32" in case["case"] else 2e-2)
    text = (folder / "cpu.md").read_text()
    assert "PythonFunctions, float32 * |" in text
    assert "- auto: RuntimeError: " in text  # no CUDA graphs on a CPU
    assert (folder / "cpu.png").stat().st_size > 1000
    result["parts"]["operator"]["cases"][0]["methods"][2] |= {
        "status": "out of memory",
        "time": None,
    }
    save("cpu", {"parts": result["parts"]}, folder)
    write_report("cpu", folder)
    text = (folder / "cpu.md").read_text()
    assert "- ENZYMES, float32, PyG dense_diff_pool: out of memory" in text


def test_training_steps_compiled_and_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    rows = [parts.compiled(QUICK, device.AUTO), parts.steps(QUICK, "ENZYMES")]
    assert [len(row["methods"]) for row in rows] == [2, 3]
    assert all(m["status"] == "ok" for row in rows for m in row["methods"])


def test_the_worst_point_of_the_grid_is_told(tmp_path: Path) -> None:
    cases = []
    for n, seconds in ((10, 3.0), (30, 0.5), (100, None)):
        methods = []
        for name, median in ((device.AUTO, 1.0), (device.PYG, seconds)):
            time = median and dict.fromkeys(("median", "q1", "q3"), median)
            status = "ok" if median else "out of memory"
            methods.append({"name": name, "status": status, "time": time})
        cases.append({"case": f"n = {n}", "status": "ok", "methods": methods})
    record = {"status": "ok", "date": "", "commit": "", "cases": cases}
    parts_ = {"card": {**record, "cases": []}, "grid": record}
    save("card", {"parts": parts_}, tmp_path)
    text = write_report("card", tmp_path)[0].read_text()
    assert "Worst: 0.50 at n = 30; below 1 at 1 of 2 points." in text
    assert "- n = 100, PyG dense_diff_pool: out of memory" in text


def end(how: str) -> Any:
    if how == "crash":
        os.abort()
    if how == "sleep":
        time.sleep(60)
    return {"status": how}


def run_cases(*ends: str, seconds: float = 60.0) -> tuple[Any, list[str]]:
    record: Any = {"cases": []}
    kept: list[str] = []
    cases = [(how,) for how in ends]
    run_part(end, cases, seconds, record, lambda: kept.append(json.dumps(record)))
    return record, kept


def test_what_a_part_loses_by_a_crash_is_one_case() -> None:
    record, kept = run_cases("ok", "crash", "failed", "ok")
    statuses = [case["status"] for case in record["cases"]]
    assert statuses == ["ok", "exit status -6", "failed", "ok"]
    assert record["status"] == "ok"
    assert '{"case": "ok", "status": "ok"}' in kept[1]


def test_a_part_ends_with_its_time() -> None:
    record, _ = run_cases("sleep", "ok", seconds=4.0)
    assert record["cases"] == [{"case": "sleep", "status": "over 4 s"}]
    assert record["status"] == "over 4 s"
    record, _ = run_cases("ok", seconds=0.0)
    assert record["status"] == "no time was left"
    assert record["cases"] == []


def test_a_case_tells_that_triton_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(_: Any, figure: int) -> Any:
        warnings.warn("Triton is not used: so", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
        return {"figure": 1 / figure}

    monkeypatch.setitem(parts.PARTS, "card", parts.Part(warn, 1.0, lambda _: []))
    told = {"warnings": ["Triton is not used: so"]}
    one, two = (measure("card", QUICK, figure) for figure in (1, 0))
    assert one == {"status": "ok", "figure": 1.0, **told}
    assert two == {"status": "ZeroDivisionError: division by zero", **told}
    cases = [{"case": "one", **one}, {"case": "two", **two}]
    assert faults({"status": "over 1 s", "cases": cases}) == [
        "- the part: over 1 s",
        "- two: ZeroDivisionError: division by zero",
        "- one warns: Triton is not used: so",
        "- two warns: Triton is not used: so",
    ]


class Event:
    """Of a device on which time passes with each look at it."""

    now = 0.0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at = Event.now

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: "Event") -> float:
        return 1e3 * (end.at - self.at)


def test_seconds_and_bytes_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    level = [100, 150]
    for name, value in {
        "Event": Event,
        "synchronize": lambda: None,
        "reset_peak_memory_stats": lambda: None,
        "memory_allocated": lambda: level[0],
        "max_memory_allocated": lambda: level[1],
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        Event.now += 0.002

    def fail() -> None:
        raise torch.OutOfMemoryError("so much")

    job = Job("cuda", quick=True, root="")
    assert job.timer()(call) == pytest.approx(0.002)
    assert calls == 11
    one, other = job.outcomes({"auto": call, "PyG": fail}, 1.0)
    assert one["time"]["median"] == pytest.approx(0.002)
    assert one["peak_bytes"] == 50
    assert other == {"name": "PyG", "status": "out of memory", "time": None}


def test_only_one_way_is_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYG_DIFFPOOL_TRITON", "0")
    seen = []
    for way in device.WAYS:
        device.SwitchedPass(way, small_batch())()
        seen.append(os.environ.get("PYG_DIFFPOOL_TRITON"))
    assert seen == [None, "0", None]


def test_a_lost_device_ends_a_case() -> None:
    def fail() -> Any:
        raise RuntimeError("Triton Error [CUDA]: an illegal memory access")

    with pytest.raises(RuntimeError, match="illegal"):
        device.attempt(fail)


@pytest.mark.parametrize("name", SPECS)
def test_the_kept_sizes_are_those_of_the_recorded_mini_batches(name: str) -> None:
    kept = json.loads(device.SIZES.read_text())[name]["graphs"]
    recorded = json.loads((FOLDER / "operator.json").read_text())["datasets"]
    batch = next(entry["batch"] for entry in recorded if entry["dataset"] == name)
    nodes, edges = zip(*kept, strict=True)
    assert batch["graphs"] == len(kept)
    assert batch["nodes"] == sum(nodes)
    assert batch["edges"] == sum(edges)
    assert batch["max_nodes"] == max(nodes)


def test_random_graphs() -> None:
    graph = random_graph(9, 60, np.random.default_rng(0))
    assert graph.num_nodes == 9
    assert graph.num_edges == 60
    assert is_undirected(graph.edge_index)
    assert not contains_self_loops(graph.edge_index)
    assert graph.edge_index.unique(dim=1).size(1) == 60
    batch = sparse_batch(3, 10, 8, 4)
    assert batch.sizes.tolist() == [10] * 3
    assert torch.equal(*batch.batch[batch.edge_index])


def test_cuda_tests(tmp_path: Path, monkeypatch: Any) -> None:
    cases = parts.PARTS["tests"].cases
    assert "tests/test_device.py" in cases(QUICK)[0]
    (tmp_path / "tests" / "kernels").mkdir(parents=True)
    (tmp_path / "tests" / "conftest.py").write_text("import absent_package")
    (tmp_path / "tests" / "test_it.py").write_text(
        f"import pytest\n{CUDA}"
        f"def test_right(): pass\n{CUDA}"
        "def test_wrong(): assert 1 == 2\n"
        "def test_unmarked(): 1 / 0\n"
    )
    monkeypatch.setattr(parts, "ROOT", tmp_path)
    assert cases(QUICK) == [("tests/test_it.py",)]
    row = parts.tests(QUICK, "tests/test_it.py")
    assert row["counts"] == "1 PASSED, 1 FAILED"
    assert row["status"] == "exit status 1"
    assert "test_wrong" in row["failures"][0]
    assert "assert 1 == 2" in row["failures"][0]
