"""Tables and a picture of what was measured on a card, from its JSON alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.device import WAYS
from benchmarks.report import NONE, compare, digits, table
from benchmarks.results import Result, load

Rows = Sequence[Result]


def write_report(name: str, folder: Path) -> list[Path]:
    """Write NAME.md, and NAME.png where matplotlib is there."""
    result: Any = load(name, folder)
    card = (*_measured(result["parts"]["card"]), {})[0]
    facts = [f"{k}: {v}" for k, v in card.items() if k not in ("case", "status")]
    run, made_by = result["run"], "; ".join(facts)
    versions = ", ".join(f"{k} {v}" for k, v in run["versions"].items() if v)
    sections = [f"# {name}", f"`{run['command']}`; {versions}. {made_by}"]
    for part, (title, tables) in TABLES.items():
        if (record := result["parts"].get(part)) is None:
            continue
        when, seconds = record["date"][:10], record.get("seconds")
        sections += [f"## {title}", f"{when}, commit {record['commit']}; {seconds} s."]
        if cases := _measured(record):
            sections += tables(cases, card)
        if found := faults(record):
            sections.append("\n".join(["Without a result, or warned:", "", *found]))
    path = folder / f"{name}.md"
    path.write_text("\n\n".join(sections) + "\n")
    return [path, *_draw(path.with_suffix(".png"), result, card)]


def _measured(record: Result) -> list[Result]:
    """The cases of a part that have figures."""
    about = {"case", "status", "warnings"}
    return [case for case in record["cases"] if case.keys() - about]


def faults(record: Result) -> list[str]:
    """What has no figures, and why."""
    found = [("the part", record)]
    for case in record["cases"]:
        found.append((case["case"], case))
        methods = case.get("methods", ())
        found += [(f"{case['case']}, {method['name']}", method) for method in methods]
    failed = [f"- {k}: {v['status']}" for k, v in found if v["status"] != "ok"]
    told = [(k, text) for k, v in found for text in v.get("warnings", ())]
    return [*failed, *(f"- {k} warns: {text}" for k, text in told)]


def _compare(cases: Rows, _: Result) -> list[str]:
    return [compare(cases, "case")]


def _operator(cases: Rows, card: Result) -> list[str]:
    rows = []
    for case in cases:
        sizes = ("graphs", "nodes", "edges", "max_nodes", "clusters")
        row = [case["case"], "/".join(f"{case['batch'][key]:,}" for key in sizes)]
        floors, time = _floors(case, card) if card else (), case["methods"][0]["time"]
        row += [digits(1e3 * floor) for floor in floors] or [NONE] * 2
        row.append(digits(time["median"] / max(floors)) if floors and time else NONE)
        for moved in (case["least_bytes"], case["kernel_bytes"]):
            row.append(digits(moved and moved / 2**20))
        errors = [method.get("error") for method in case["methods"]]
        rows.append([*row, *(NONE if e is None else f"{e:.1e}" for e in errors)])
    names = [f"error, {method['name']}" for method in cases[0]["methods"]]
    head = ["", "B/N/E/M/K", "bytes, ms", "products, ms", "auto over the larger"]
    head += ["MiB to move", "by kernels"]
    return [
        "Forward and backward, median (quartiles), and peak memory above the inputs. "
        "`auto` and `torch operations` are this package, with and without Triton. "
        "`*`: random graphs of the same nodes and edges as the set's.",
        compare(cases, "case"),
        "Two floors: *bytes*, what a step must move, each number once each way, at the "
        "speed of a large copy; *products*, its dense ones at the speed of large ones. "
        "*By kernels*: what these say they move. Errors are the largest relative one "
        "of an output or gradient, against float64.",
        table([*head, *names], rows),
    ]


def _floors(case: Result, card: Result) -> tuple[float, float]:
    """Seconds of the bytes and of the products."""
    speed = card["flops_a_second"][case["dtype"]]
    return case["least_bytes"] / card["bytes_a_second"], case["least_flops"] / speed


def _steps(cases: Rows, _: Result) -> list[str]:
    return [
        "A step of PyG's example model, float32, 20 graphs that are on the device "
        "already: padding for PyG, forward, losses, backward, Adam, the loss read.",
        compare(cases, "case"),
    ]


def _grid(cases: Rows, _: Result) -> list[str]:
    ratios = []
    for case in cases:
        ours, pyg = (method["time"] for method in case["methods"])
        if ours and pyg:
            ratios.append((pyg["median"] / ours["median"], case["case"]))
    slower = sum(ratio < 1 for ratio, _ in ratios)
    worst = "Worst: {:.2f} at {}; ".format(*min(ratios)) if ratios else ""
    return [
        "Forward and backward on even random graphs, float32: how many graphs, nodes "
        "of each, clusters. Time of PyG over ours. "
        f"{worst}below 1 at {slower} of {len(ratios)} points.",
        compare(cases, "case"),
    ]


def _launches(cases: Rows, _: Result) -> list[str]:
    found: dict[str, dict[str, Result]] = {}
    for case in cases:
        what, _, way = case["case"].partition(", ")
        found.setdefault(what, {})[way] = case
    head = ["", *(f"launches, {way}" for way in WAYS), *(f"ms, {way}" for way in WAYS)]
    rows = []
    for what, by_way in found.items():
        ways = [by_way.get(way) for way in WAYS]
        busy = [c and digits(1e3 * c["seconds"]) for c in ways]
        row = [what, *(c and c["launches"] for c in ways), *busy]
        first, last = ways[0], ways[-1]
        row.append(first and last and digits(last["seconds"] / first["seconds"]))
        rows.append([NONE if value is None else value for value in row])
    sections = [
        "The operator, forward and backward in float32, and a training step on 20 "
        "graphs of PROTEINS: kernels and copies, and how long the device was busy with "
        "them. The rest of a time above is waiting for the host.",
        table([*head, "x PyG, ms"], rows),
    ]
    for case in cases:
        if case["case"].startswith(("PROTEINS, auto", "training step")):
            rows = [[f"`{k[:80]}`", n, digits(1e6 * s)] for k, n, s in case["longest"]]
            sections.append(table([case["case"], "times", "µs"], rows))
    return sections


def _tests(cases: Rows, _: Result) -> list[str]:
    rows = [[case["case"], case["counts"], case["last"].strip("= ")] for case in cases]
    failed = [f"- `{line}`" for case in cases for line in case["failures"]]
    return [table(["file", "tests", "last line"], rows), "\n".join(failed)]


def _draw(path: Path, result: Result, card: Result) -> list[Path]:
    """The operators' times in float32, if there are any and a way to draw them."""
    cases = _measured(result["parts"].get("operator", {"cases": []}))
    sets = [c for c in cases if c["dtype"] == "float32"]
    try:
        from benchmarks.pictures import FIGURES, save_picture
    except ImportError:
        return []
    if not (card and any(m["time"] for entry in sets for m in entry["methods"])):
        return []
    for entry in sets:
        entry["floor"] = {"median": max(_floors(entry, card))}
    run = {**result["run"], "machine": {"cpu": card["name"]}}
    draw = FIGURES["operator"]["operator_time"]
    save_picture(draw({"datasets": sets, "run": run}), path)
    return [path]


TABLES: dict[str, tuple[str, Callable[[Rows, Result], list[str]]]] = {
    "card": ("Card", lambda *_: []),
    "operator": ("Operator", _operator),
    "steps": ("Training step", _steps),
    "grid": ("Grid", _grid),
    "compiled": ("torch.compile, a training step on 20 graphs of PROTEINS", _compare),
    "capture": ("CUDA graphs, the same step; PyG's graphs padded before", _compare),
    "launches": ("Launches", _launches),
    "tests": ("Tests", _tests),
}
