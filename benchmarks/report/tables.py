"""The tables, in Markdown."""

from collections.abc import Callable, Sequence
from typing import Any

Result = dict[str, Any]
NONE = "-"


def operator(result: Result) -> list[str]:
    """Ratios, times and memory of the operators."""
    sets = result["datasets"]
    return [
        "## Operator",
        provenance(result),
        "Forward and backward from the loader's mini-batch to the pooled graph and "
        "losses, float32. Columns `x` say how many times longer a peer takes than this "
        "package with its default settings, with the assignment layer on both sides "
        "where the peer has it within (tgp).",
        _ratios(sets),
        "Milliseconds, median (quartiles):",
        _per_method(sets, _time),
        "Peak memory above the inputs, MiB, each in its own process:",
        _per_method(sets, _memory),
        "What the methods compute:",
        table(
            ["method", "computes"],
            [[_name(m), m["computes"]] for m in sets[0]["methods"]] if sets else [],
        ),
        *_absent(result),
    ]


def training_step(result: Result) -> list[str]:
    """Seconds of training."""
    rows = []
    for entry in result["datasets"]:
        methods = {m["name"]: m for m in entry["methods"]}
        ours, padded, dense = methods.values()
        rows.append(
            [
                entry["dataset"],
                f"{entry['graphs']} / {entry['steps']}",
                *(_time(m, entry["steps"]) for m in (ours, padded, dense)),
                *(_ratio(m, ours) for m in (padded, dense)),
            ]
        )
    head = ["set", "graphs / steps", "pyg-diffpool", "PyG, padded per batch"]
    head += ["PyG, dense loader", "x padded per batch", "x dense loader"]
    return [
        "## Training step",
        provenance(result),
        "Milliseconds a step, median (quartiles): data loading, PyG's example model of "
        "two levels, losses, Adam, batches of 20 graphs, the same graphs for all.",
        table(head, rows),
        *_absent(result),
    ]


def growth(result: Result) -> list[str]:
    """Exponents and the largest sizes."""
    parts = ["## Growth", provenance(result)]
    for key, title in (("one_graph", "One graph"), ("batches", "Mini-batches")):
        curve = result[key]
        rows = []
        for name in dict.fromkeys(p["method"] for p in curve["points"]):
            points = [p for p in curve["points"] if p["method"] == name]
            last = max((p for p in points if p["time"]), key=_size, default=None)
            slopes = curve["exponents"].get(name, {})
            beyond = next((p["status"] for p in points if not p["time"]), NONE)
            memory = NONE if name == "floor" else _figure(slopes.get("memory"))
            largest = [NONE] * 3
            if last:
                largest = [f"{last['edges']:,}", _time(last), _memory(last)]
            rows.append([name, _figure(slopes.get("time")), memory, *largest, beyond])
        head = ["method", "exponent of time", "of memory", "largest: edges"]
        head += ["ms, median (quartiles)", "peak MiB", "beyond"]
        parts += [f"{title}, fitted against edges + nodes:", table(head, rows)]
    return parts


def grid(result: Result) -> list[str]:
    """The summary of the grid."""
    s = result["summary"]
    rows = [["geometric mean", f"{s['mean_ratio']:.2f}", ""]]
    for name in ("worst", "best"):
        point = s[name]
        shape = ", ".join(
            f"{key.upper()} = {point[key]}" for key in ("b", "m", "c", "k")
        )
        rows.append([name, f"{point['ratio']:.2f}", shape])
    rows.append(["faster at", f"{s['faster_at']} of {s['of']}", ""])
    return [
        "## PyG's micro-benchmark grid",
        provenance(result),
        "`pyg_diffpool.dense_diff_pool` beside `torch_geometric.nn.dense_diff_pool`.",
        table(["", "times faster than PyG", "at"], rows),
    ]


TABLES: dict[str, Callable[[Result], list[str]]] = {
    "operator": operator,
    "training_step": training_step,
    "growth": growth,
    "grid": grid,
}


def _ratios(sets: Sequence[Result]) -> str:
    peers = ("PyG dense_diff_pool", "tgp diff", "tgp diff_u")
    rows = []
    for entry in sets:
        batch = entry["batch"]
        methods = {m["name"]: m for m in entry["methods"]}
        auto = methods["auto"]
        ratios = []
        for peer in (methods[name] for name in peers):
            base = methods["auto + layer"] if peer["with_layer"] else auto
            ratios.append(_ratio(peer, base))
        over = auto["time"]["median"] / entry["floor"]["median"]
        sizes = " / ".join(f"{batch[key]:,}" for key in ("nodes", "edges", "max_nodes"))
        name = f"{entry['dataset']}, {batch['graphs']} graphs"
        rows.append(
            [name, sizes, batch["clusters"], _time(auto), *ratios, f"{over:.1f}"]
        )
    head = ["mini-batch", "N / E / M", "K", "ours, ms", "x PyG", "x tgp diff"]
    return table([*head, "x tgp diff_u", "time over floor"], rows)


def _per_method(sets: Sequence[Result], cell: Callable[[Result], str]) -> str:
    names = {m["name"]: _name(m) for m in sets[0]["methods"]} if sets else {}
    columns = [{m["name"]: cell(m) for m in entry["methods"]} for entry in sets]
    rows = [
        [shown, *(column.get(name, NONE) for column in columns)]
        for name, shown in names.items()
    ]
    return table(["method", *(entry["dataset"] for entry in sets)], rows)


def _time(method: Result, steps: int = 1) -> str:
    time = method["time"]
    if time is None:
        return _status(method)
    median, q1, q3 = (time[key] * 1e3 / steps for key in ("median", "q1", "q3"))
    return f"{_figure(median)} ({_figure(q1)}-{_figure(q3)})"


def _memory(method: Result) -> str:
    peak = method["peak_bytes"]
    return _status(method) if peak is None else f"{peak / 2**20:,.1f}"


def _ratio(peer: Result, ours: Result) -> str:
    if peer["time"] is None or ours["time"] is None:
        return _status(peer)
    return _figure(peer["time"]["median"] / ours["time"]["median"])


def _name(method: Result) -> str:
    return f"ours, {method['name']}" if method["ours"] else str(method["name"])


def _status(method: Result) -> str:
    return str(method["status"]).split(":")[0]


def _figure(value: float | None) -> str:
    """Three digits."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _size(point: Result) -> int:
    return int(point["edges"] + point["nodes"])


def _absent(result: Result) -> list[str]:
    names = ", ".join(result["absent"])
    return [f"Absent, not measured: {names}."] if names else []


def provenance(result: Result) -> str:
    """Command, date, machine and versions."""
    run = result["run"]
    machine = run["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in run["versions"].items() if v)
    return (
        f"`{run['command']}`, {run['date'][:10]}, commit {run['commit']}; "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['ram_gib']} GiB, "
        f"threads: {result['threads']}; {versions}."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
