"""Tables in Markdown, and pictures, from the saved results alone."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.results import Result, load

NONE = "-"
PEERS = ("PyG dense_diff_pool", "tgp diff", "tgp diff_u")


def write_report(folder: Path) -> list[Path]:
    """Write `report.md` and the pictures of whatever results `folder` holds."""
    # Here, since the tables of a GPU are made without matplotlib.
    from benchmarks.pictures import FIGURES, save_picture

    sections: list[str] = ["# Benchmarks"]
    written: list[Path] = []
    for name, (title, parts) in TABLES.items():
        sections.append(f"## {title}")
        if (result := load(name, folder)) is None:
            sections.append("Not measured yet.")
            continue
        sections += [provenance(result), *parts(result)]
        if names := ", ".join(result.get("absent", ())):
            sections.append(f"Absent, not measured: {names}.")
        for picture, draw in FIGURES.get(name, {}).items():
            written.append(folder / f"{picture}.png")
            save_picture(draw(result), written[-1])
    report = folder / "report.md"
    report.write_text("\n\n".join(sections) + "\n")
    return [report, *written]


def operator(result: Result) -> list[str]:
    sets = result["datasets"]
    methods = sets[0]["methods"] if sets else []
    return [
        "Forward and backward from the loader's mini-batch to the pooled graph and "
        "losses, float32. Columns `x` say how many times longer a peer takes than this "
        "package with its default settings, with the assignment layer on both sides "
        "where the peer has it within (tgp).",
        _ratios(sets),
        "Milliseconds, median (quartiles):",
        _per_method(sets, time_cell),
        "Peak memory above the inputs, MiB, each in its own process:",
        _per_method(sets, memory_cell),
        "What the methods compute:",
        table(["method", "computes"], [[_name(m), m["computes"]] for m in methods]),
    ]


def training_step(result: Result) -> list[str]:
    return [
        "Milliseconds a step, median (quartiles): data loading, PyG's example model of "
        "two levels, losses, Adam, batches of 20 graphs, the same graphs for all.",
        compare(result["datasets"], "dataset"),
    ]


def compiled(result: Result) -> list[str]:
    first = [f"{entry['first_seconds']:.0f}" for entry in result["datasets"]]
    return [
        "`DiffPoolNet`, 64 channels, 16 and 4 clusters, 20 graphs; one compiled graph "
        f"for all sizes. Seconds of the first steps: {', '.join(first)}.",
        compare(result["datasets"], "dataset"),
    ]


def growth(result: Result) -> list[str]:
    parts = []
    for key, title in (("one_graph", "One graph"), ("batches", "Mini-batches")):
        points, rows = result[key]["points"], []
        for name in dict.fromkeys(p["method"] for p in points):
            timed = [p for p in points if p["method"] == name and p["time"]]
            failed = [p for p in points if p["method"] == name and not p["time"]]
            slopes = result[key]["exponents"].get(name, {})
            memory = NONE if name == "floor" else digits(slopes.get("memory"))
            largest = [NONE] * 3
            if timed:
                last = max(timed, key=lambda p: int(p["edges"] + p["nodes"]))
                largest = [f"{last['edges']:,}", time_cell(last), memory_cell(last)]
            beyond = failed[0]["status"] if failed else NONE
            rows.append([name, digits(slopes.get("time")), memory, *largest, beyond])
        head = ["method", "exponent of time", "of memory", "largest: edges"]
        head += ["ms, median (quartiles)", "peak MiB", "beyond"]
        parts += [f"{title}, fitted against edges + nodes:", table(head, rows)]
    return parts


def backends(result: Result) -> list[str]:
    ratios: dict[tuple[int, int], list[float]] = {}
    loss = []
    for point in result["points"]:
        time = {name: sample["median"] for name, sample in point["times"].items()}
        loss.append(time["auto"] / min(time["sparse"], time["padded"]))
        same = ratios.setdefault((point["k"], point["n"]), [])
        same.append(time["sparse"] / time["padded"])
    rows = [[*kn, f"{min(r):.2f} to {max(r):.2f}"] for kn, r in sorted(ratios.items())]
    return [
        "Even random graphs, 16 to 1,024 in a mini-batch, density 0.1 to 1. The "
        f"default takes at most {max(loss):.2f} times as long as the better backend, "
        f"{statistics.median(loss):.2f} in the median.",
        table(["K", "nodes a graph", "time of sparse over padded"], rows),
    ]


TABLES: dict[str, tuple[str, Callable[[Result], list[str]]]] = {
    "operator": ("Operator", operator),
    "training_step": ("Training step", training_step),
    "compiled": ("Compiled training step", compiled),
    "growth": ("Growth", growth),
    "backends": ("Backends", backends),
}


def compare(cases: Sequence[Result], name: str) -> str:
    """Milliseconds of each method, how many times the first's, and MiB if known.

    `*` marks cases on made-up graphs.
    """
    names = [method["name"] for case in cases[:1] for method in case["methods"]]
    has_peaks = any("peak_bytes" in m for case in cases for m in case["methods"])
    rows = []
    for case in cases:
        first, *others = methods = case["methods"]
        cells = [time_cell(method, case.get("steps", 1)) for method in methods]
        cells += [ratio_cell(method, first) for method in others]
        cells += map(memory_cell, methods if has_peaks else ())
        rows.append([case[name] + " *" * case.get("made_up", False), *cells])
    head = ["", *(f"{name}, ms" for name in names), *(f"x {n}" for n in names[1:])]
    return table([*head, *(f"{name}, MiB" for name in names if has_peaks)], rows)


def _ratios(sets: Sequence[Result]) -> str:
    rows = []
    for entry in sets:
        batch = entry["batch"]
        methods = {m["name"]: m for m in entry["methods"]}
        ours = {False: methods["auto"], True: methods["auto + layer"]}
        peers = [methods[name] for name in PEERS if name in methods]
        over = methods["auto"]["time"]["median"] / entry["floor"]["median"]
        sizes = " / ".join(f"{batch[key]:,}" for key in ("nodes", "edges", "max_nodes"))
        row = [f"{entry['dataset']}, {batch['graphs']} graphs", sizes]
        row += [batch["clusters"], time_cell(methods["auto"])]
        row += [ratio_cell(peer, ours[peer["with_layer"]]) for peer in peers]
        rows.append([*row, f"{over:.1f}"])
    head = ["mini-batch", "N / E / M", "K", "ours, ms", "x PyG", "x tgp diff"]
    return table([*head, "x tgp diff_u", "time over floor"], rows)


def _per_method(sets: Sequence[Result], cell: Callable[[Result], str]) -> str:
    rows = [
        [_name(same[0]), *map(cell, same)]
        for same in zip(*(entry["methods"] for entry in sets), strict=True)
    ]
    return table(["method", *(entry["dataset"] for entry in sets)], rows)


def time_cell(method: Result, steps: int = 1) -> str:
    if (time := method["time"]) is None:
        return _status(method)
    median, q1, q3 = (time[key] * 1e3 / steps for key in ("median", "q1", "q3"))
    return f"{digits(median)} ({digits(q1)}-{digits(q3)})"


def memory_cell(method: Result) -> str:
    peak = method.get("peak_bytes")
    return _status(method) if peak is None else f"{peak / 2**20:,.1f}"


def ratio_cell(peer: Result, ours: Result) -> str:
    """How many times longer the peer takes."""
    if peer["time"] is None or ours["time"] is None:
        return _status(peer)
    return digits(peer["time"]["median"] / ours["time"]["median"])


def _name(method: Result) -> str:
    return f"ours, {method['name']}" if method["ours"] else str(method["name"])


def _status(method: Result) -> str:
    status = str(method["status"]).split(":")[0]
    return NONE if status == "ok" else status


def digits(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def provenance(result: Result) -> str:
    run, machine = result["run"], result["run"]["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in run["versions"].items() if v)
    return (
        f"`{run['command']}`, {run['date'][:10]}, commit {run['commit']}; "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['ram_gib']} GiB, "
        f"threads: {run['threads']}; {versions}."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
