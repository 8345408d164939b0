"""Tables and pictures, from the saved results alone."""

from pathlib import Path

from benchmarks.report import bars, curves, tables
from benchmarks.report.accel_table import accel
from benchmarks.report.backend_table import backends
from benchmarks.results import load

TABLES = {**tables.TABLES, "backends": backends, "accel": accel}


def write_report(folder: Path) -> list[Path]:
    """Write `report.md` and the pictures of whatever results `folder` holds."""
    sections: list[str] = ["# Benchmarks"]
    written: list[Path] = []
    for name in TABLES:
        result = load(name, folder)
        if result is None:
            sections.append(f"## {name}\n\nNot measured yet.")
            continue
        sections += TABLES[name](result)
        for draw in (*bars.FIGURES.get(name, ()), *curves.FIGURES.get(name, ())):
            path = folder / f"{draw.__name__}.png"
            figure = draw(result)
            figure.savefig(path, dpi=150)
            written.append(path)
    report = folder / "report.md"
    report.write_text("\n\n".join(sections) + "\n")
    return [report, *written]
