"""The table of torch-scatter and torch-sparse."""

from benchmarks.report.tables import Result, provenance, table


def accel(result: Result) -> list[str]:
    """Times of the sparse product over torch's own."""
    title = "## torch-scatter and torch-sparse"
    if result["missing"]:
        return [title, f"Not measured: {', '.join(result['missing'])} not installed."]
    rows = []
    for entry in result["datasets"]:
        own, *others = (time["median"] for time in entry["times"].values())
        head = [entry["dataset"], f"{entry['edges']:,}", entry["clusters"]]
        rows.append([*head, f"{own * 1e3:.3f}", *(f"{o / own:.1f}" for o in others)])
    return [
        title,
        provenance(result),
        "`A S` from the row pointer, forward: torch's CSR product in milliseconds, and "
        "how many times as long the others take.",
        table(
            ["set", "edges", "K", "torch CSR, ms", "x torch-sparse", "x segment_csr"],
            rows,
        ),
    ]
