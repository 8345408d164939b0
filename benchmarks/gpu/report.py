"""Tables and a picture of what was measured on a card, from its JSON alone."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.device import AUTO, PYG, TORCH
from benchmarks.report import NONE, digits, memory_cell, ratio_cell, table, time_cell
from benchmarks.results import Result, load

Rows = Sequence[Result]


def write_report(name: str, folder: Path) -> list[Path]:
    """Write NAME.md, and NAME.png where matplotlib is there."""
    result: Any = load(name, folder)
    parts = result["parts"]
    device = measured(parts["card"])
    card: Result = device[0] if device else {}
    sections = [f"# {card.get('name', name)}", _describe(result, card)]
    for part, (title, tables) in TABLES.items():
        if part not in parts:
            continue
        record = parts[part]
        made = f"{record['date'][:10]}, commit {record['commit']}"
        sections += [f"## {title}", f"{made}; {record.get('seconds', NONE)} s."]
        sections += tables(measured(record), card) if measured(record) else []
        if faults := [*failures(record)]:
            sections.append("Without a result:\n\n" + "\n".join(faults))
    path = folder / f"{name}.md"
    path.write_text("\n\n".join(sections) + "\n")
    return [path, *_draw(name, folder, result, card)]


def measured(record: Result) -> list[Result]:
    """The cases of a part that have figures."""
    return [case for case in record["cases"] if len(case) > 2]


def failures(record: Result) -> list[str]:
    """What has no figures, and why."""
    lines = [f"- the part: {record['status']}"] if record["status"] != "ok" else []
    for case in record["cases"]:
        for each in (case, *case.get("methods", ())):
            if each["status"] != "ok":
                method = f", {each['name']}" if each is not case else ""
                lines.append(f"- {case['case']}{method}: {each['status']}")
    return lines


def _describe(result: Result, card: Result) -> str:
    run = result["run"]
    versions = ", ".join(f"{k} {v}" for k, v in run["versions"].items() if v)
    text = f"`{run['command']}`; Python {run['python']}, {versions}."
    if card:
        speeds = ", ".join(
            f"{value / 1e12:.3g} TFLOP/s {dtype}"
            for dtype, value in card["flops_a_second"].items()
        )
        text += (
            f" CUDA {card.get('cuda')}, {card.get('memory_gib', 0):.0f} GiB; "
            f"`auto` is {card['executor']}; measured: a large copy "
            f"{card['bytes_a_second'] / 1e9:,.0f} GB/s, large products {speeds}."
        )
    return text


def _methods(case: Result) -> dict[str, Result]:
    return {method["name"]: method for method in case["methods"]}


def _floor(case: Result, card: Result) -> tuple[float, float]:
    """Seconds to move the bytes, and for the dense products at their best."""
    speed = card["flops_a_second"][case["dtype"]]
    return case["least_bytes"] / card["bytes_a_second"], case["least_flops"] / speed


def _operator(cases: Rows, card: Result) -> list[str]:
    times, memory = [], []
    for case in cases:
        batch, methods = case["batch"], _methods(case)
        auto, others = methods[AUTO], (methods[TORCH], methods[PYG])
        name = f"{case['case']}{' *' * case['made_up']}"
        sizes = "/".join(f"{batch[key]:,}" for key in ("nodes", "edges", "max_nodes"))
        floors = _floor(case, card) if card else ()
        least = max(floors, default=None)
        over = auto["time"] and least and auto["time"]["median"] / least
        row = [name, f"{batch['graphs']}/{sizes}", batch["clusters"]]
        row += [time_cell(m) for m in (auto, *others)]
        row += [ratio_cell(m, auto) for m in others]
        times.append([*row, *(digits(1e3 * f) for f in floors), digits(over or None)])
        moved = case["kernel_bytes"]
        traffic = moved and digits(moved / 2**20)
        bytes_ = [digits(case["least_bytes"] / 2**20), traffic or NONE]
        errors = [_error(m) for m in (auto, *others)]
        memory.append([name, *map(memory_cell, (auto, *others)), *bytes_, *errors])
    head = ["set, dtype", "B/N/E/M", "K", "ours, ms", "torch operations", "PyG"]
    head += ["torch/ours", "PyG/ours", "bytes, ms", "products, ms", "over floor"]
    columns = [head[0], "ours", "torch operations", "PyG", "must move", "kernels"]
    return [
        "Forward and backward, milliseconds, median (quartiles). *torch operations* is "
        "this package without Triton. *bytes*: what a step must move, each number once "
        "each way, at the speed of a large copy; *products*: its dense products at the "
        "speed of large ones; the floor is the larger. `*`: random graphs of the same "
        "nodes and edges as the set's.",
        table(head, times),
        "Peak MiB above the inputs; MiB that a step must move, and that the kernels "
        "say they move; largest relative error of an output or gradient against "
        "float64:",
        table(
            [*columns, "error of ours", "of torch operations", "of PyG"],
            memory,
        ),
    ]


def _error(method: Result) -> str:
    return f"{method['error']:.1e}" if "error" in method else method["status"]


def _steps(cases: Rows, card: Result) -> list[str]:
    del card
    rows = []
    for case in cases:
        methods = [_methods(case)[way] for way in (AUTO, TORCH, PYG)]
        ratios = [ratio_cell(method, methods[0]) for method in methods[1:]]
        name = case["case"] + " *" * case["made_up"]
        rows.append([name, *map(time_cell, methods), *ratios])
        rows[-1] += map(memory_cell, methods)
    ways = ["ours", "torch operations", "PyG"]
    head = ["set", *ways, "torch/ours", "PyG/ours", *(f"MiB, {way}" for way in ways)]
    return [
        "Milliseconds of a step, float32, 20 graphs on the device already: padding for "
        "PyG, forward, losses, backward, Adam, the loss read.",
        table(head, rows),
    ]


def _grid(cases: Rows, card: Result) -> list[str]:
    del card
    cells: dict[tuple[int, int], dict[int, str]] = {}
    ratios = []
    for case in cases:
        auto, pyg = (_methods(case)[way] for way in (AUTO, PYG))
        where = cells.setdefault((case["b"], case["k"]), {})
        where[case["n"]] = ratio_cell(pyg, auto)
        if auto["time"] and pyg["time"]:
            ratio = pyg["time"]["median"] / auto["time"]["median"]
            ratios.append((ratio, case["case"]))
    sizes = sorted({case["n"] for case in cases})
    rows = [[*bk, *(row.get(n, NONE) for n in sizes)] for bk, row in cells.items()]
    text = "Time of PyG over ours, even graphs, float32."
    if ratios:
        slower = sum(ratio < 1 for ratio, _ in ratios)
        worst, where_worst = min(ratios)
        middle = statistics.median(ratio for ratio, _ in ratios)
        text += (
            f" Worst: {worst:.2f} at {where_worst}; below 1 at {slower} of "
            f"{len(ratios)} points; median {middle:.2f}."
        )
    return [text, table(["graphs", "K", *(f"n = {n}" for n in sizes)], rows)]


def _pairs(cases: Rows, card: Result) -> list[str]:
    """The same two ways."""
    del card
    rows = []
    for case in cases:
        eager, other = case["methods"]
        more = digits(case["first"]) if "first" in case else f"{case['apart']:.1e}"
        cells = [time_cell(eager), time_cell(other), ratio_cell(eager, other), more]
        rows.append([case["case"], *cells])
    kind, last = "graphed", "largest difference of outputs"
    if "first" in cases[0]:
        kind, last = "compiled", "first call, s"
    head = ["method", "eager, ms", f"{kind}, ms", f"eager/{kind}", last]
    return [
        "A training step on 20 graphs of PROTEINS; for CUDA graphs all sizes are fixed "
        "and PyG's graphs padded before.",
        table(head, rows),
    ]


def _launches(cases: Rows, card: Result) -> list[str]:
    del card
    rows = [[c["case"], c["launches"], digits(1e3 * c["seconds"])] for c in cases]
    sections = [table(["on 20 graphs of PROTEINS", "launches", "ms in them"], rows)]
    for case in cases:
        longest = [
            [f"`{name[:80]}`", n, digits(1e6 * s)] for name, n, s in case["longest"]
        ]
        sections += [f"{case['case']}:", table(["kernel", "times", "µs"], longest)]
    return sections


def _tests(cases: Rows, card: Result) -> list[str]:
    del card
    rows = []
    for case in cases:
        counts = ", ".join(f"{n} {end}" for end, n in case["counts"].items())
        rows.append([case["case"], counts, case["last"].strip("= ")])
    failed = [f"- `{line}`" for case in cases for line in case["failures"]]
    return [table(["file", "tests", "last line"], rows), "\n".join(failed)]


def _draw(name: str, folder: Path, result: Result, card: Result) -> list[Path]:
    """The operators' times in float32, if there is a picture to draw and a way to."""
    part = result["parts"].get("operator", {"cases": []})
    cases = [c for c in measured(part) if c["dtype"] == "float32"]
    some = [m for c in cases for m in c["methods"] if m["time"]]
    try:
        from benchmarks.pictures import FIGURES
    except ImportError:
        return []
    if not (card and some):
        return []
    sets = [{**c, "floor": {"median": max(_floor(c, card))}} for c in cases]
    run = {**result["run"], "machine": {"cpu": card["name"]}}
    path = folder / f"{name}.png"
    draw = FIGURES["operator"]["operator_time"]
    draw({"datasets": sets, "run": run}).savefig(path, dpi=150)
    return [path]


TABLES: dict[str, tuple[str, Callable[[Rows, Result], list[str]]]] = {
    "card": ("Card", lambda *_: []),
    "operator": ("Operator", _operator),
    "steps": ("Training step", _steps),
    "grid": ("Grid", _grid),
    "compiled": ("torch.compile", _pairs),
    "capture": ("CUDA graphs", _pairs),
    "launches": ("Launches", _launches),
    "tests": ("Tests", _tests),
}
