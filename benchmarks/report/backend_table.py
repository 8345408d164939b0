"""The table of the two backends."""

from benchmarks.report.tables import Result, provenance, table


def backends(result: Result) -> list[str]:
    """Time of the sparse backend over the padded one, by size of graphs."""
    points = result["points"]
    rows = []
    for k in sorted({p["k"] for p in points}):
        for n in sorted({p["n"] for p in points}):
            ratios = [
                p["times"]["sparse"]["median"] / p["times"]["padded"]["median"]
                for p in points
                if (p["k"], p["n"]) == (k, n)
            ]
            rows.append([k, n, f"{min(ratios):.2f} to {max(ratios):.2f}"])
    loss = result["summary"]["auto_over_better"]
    return [
        "## Backends",
        provenance(result),
        "Even random graphs, 16 to 1,024 in a mini-batch, density 0.1 to 1. The "
        f"default takes at most {loss[-1]:.2f} times as long as the better backend, "
        f"{loss[len(loss) // 2]:.2f} in the median.",
        table(["K", "nodes a graph", "time of sparse over padded"], rows),
    ]
