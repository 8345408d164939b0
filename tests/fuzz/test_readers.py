"""Damaged files: an error of ours, or what a plain reading of them says."""

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from fuzz.cases import options
from pyg_diffpool.datasets.split_files import split_from_file
from pyg_diffpool.datasets.tu_files import TUFiles, read_tu_files

OURS = r"^expected |^'\w+' must |^split file "
FILES = {
    "A": "2, 1\n1, 2\n1, 3\n3, 1\n1, 1\n4, 5\n5, 4\n4, 5\n7, 6\n",
    "graph_indicator": "1\n1\n1\n2\n2\n3\n3\n",
    "graph_labels": "-1\n1\n-1\n",
    "node_attributes": "0.5, 1\n1e-3, 2\n-7, 3\n0.25, 4\n12, 5\n3, 6\n8, 7\n",
    "node_labels": "0\n2\n1\n0\n2\n2\n1\n",
}
LINES = ["", " ", "a", "0", "-5", "1", "9", "1, 2", "1 2", "1, 2, 3", "1,", "# 1", "+2"]
LINES += [
    "99999999999999999999",
    "3000000000",
    "nan",
    "inf",
    "1e999",
    "1.5",
    "0x1",
    "1_0",
]
LINES += ["\0", "\u0661", "\ufeff1", '"1"', "1;2", "1\r", "\f1", "1e400, 2", "-1, -1"]
LINES += ["nan, 1", "2, -inf", "9223372036854775807", "-9223372036854775808"]


@st.composite
def damages(draw: st.DrawFn, names: list[str]) -> tuple[str, str, float, Any]:
    """A file, what happens to it, where, and with what."""
    kind = draw(
        st.sampled_from(
            ["line", "line", "line", "byte", "insert", "cut", "drop", "twice"]
        )
    )
    what: Any = draw(st.sampled_from(LINES)) if kind == "line" else None
    if kind in ("byte", "insert"):
        what = draw(st.integers(0, 255))
    kind = draw(st.sampled_from([*[kind] * 18, "missing", "folder"]))
    return draw(st.sampled_from(names)), kind, draw(st.floats(0, 1)), what


def damaged(content: bytes, kind: str, where: float, what: Any) -> bytes:
    at = min(int(where * len(content)), len(content) - 1)
    lines = content.split(b"\n")
    row = min(int(where * (len(lines) - 1)), len(lines) - 2)
    if kind == "byte":
        return content[:at] + bytes([what]) + content[at + 1 :]
    if kind == "insert":
        return content[:at] + bytes([what]) + content[at:]
    if kind == "cut":
        return content[:at]
    if kind == "line":
        lines[row] = what.encode()
    elif kind == "drop":
        del lines[row]
    elif kind == "twice":
        lines.insert(row, lines[row])
    return b"\n".join(lines)


def damage(path: Path, kind: str, where: float, what: Any) -> None:
    content = path.read_bytes() if path.is_file() else b""
    if path.is_dir():
        return
    if not content or kind in ("missing", "folder"):
        path.unlink(missing_ok=True)
        if kind == "folder":
            path.mkdir()
    else:
        path.write_bytes(damaged(content, kind, where, what))


def unless_refused(read: Callable[[], Any]) -> Any:
    """What is read, or nothing after an error of ours."""
    try:
        return read()
    except (ValueError, TypeError) as error:
        text = str(error)
    assert re.match(OURS, text), text
    return None


def plain(folder: Path) -> list[dict[str, Any]]:
    """The graphs, read with no care at all."""

    def table(kind: str, number: type) -> list[list[Any]]:
        text = (folder / f"TOY_{kind}.txt").read_text()
        lines = [
            line for line in re.split(r"\r\n|\r|\n", text) if line.strip(" \t\f\v")
        ]
        return [[number(word.strip()) for word in line.split(",")] for line in lines]

    of = [row[0] for row in table("graph_indicator", int)]
    labels = [row[0] for row in table("graph_labels", int)]
    classes = sorted(set(labels))
    x: list[list[float]] = [[] for _ in of]
    if (folder / "TOY_node_attributes.txt").is_file():
        x = [
            old + row
            for old, row in zip(x, table("node_attributes", float), strict=True)
        ]
    if (folder / "TOY_node_labels.txt").is_file():
        rows = table("node_labels", int)
        for column in zip(*rows, strict=True):
            width = range(min(column), max(column) + 1)
            x = [
                old + [float(value == v) for v in width]
                for old, value in zip(x, column, strict=True)
            ]
    edges = sorted({(a - 1, b - 1) for a, b in table("A", int) if a != b})
    graphs = []
    for g, label in enumerate(labels, 1):
        nodes = [i for i, own in enumerate(of) if own == g]
        inside = [(a, b) for a, b in edges if a in nodes]
        graphs.append(
            {
                "y": classes.index(label),
                "edges": [(nodes.index(a), nodes.index(b)) for a, b in inside],
                "x": [x[i] for i in nodes],
            }
        )
    return graphs


@options(1500)
@given(st.lists(damages(list(FILES)), min_size=1, max_size=2))
def test_damaged_data_sets(many) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, text in FILES.items():
            (folder / f"TOY_{kind}.txt").write_text(text)
        for kind, *rest in many:
            damage(folder / f"TOY_{kind}.txt", *rest)
        graphs = unless_refused(lambda: read_tu_files(TUFiles.find(folder))[0])
        if graphs is None:
            return
        for data, right in zip(graphs, plain(folder), strict=True):
            assert int(data.y) == right["y"]
            assert [tuple(e) for e in data.edge_index.t().tolist()] == right["edges"]
            assert data.num_nodes == len(right["x"])
            if data.x is not None:
                x = torch.tensor(right["x"]).view_as(data.x)
                torch.testing.assert_close(data.x, x)
                assert data.x.isfinite().all()


SPLIT = {"train": [0, 1, 2, 3], "val": [4, 5], "test": [6, 7]}
LAYOUTS = [
    SPLIT,
    [SPLIT, SPLIT],
    [{"test": [0], "model_selection": [{"train": [1, 2], "validation": [3]}]}],
]
numbers = st.one_of(
    st.integers(-3, 12), st.sampled_from([10**30, True, None, 1.5, "1", [], {}])
)
parts = st.lists(numbers, max_size=6)
entries = st.dictionaries(
    st.sampled_from(["train", "val", "validation", "test", "model_selection", "x"]),
    st.one_of(
        parts,
        numbers,
        st.lists(st.dictionaries(st.sampled_from(["train", "val"]), parts), max_size=2),
    ),
)


def check_split(content: bytes, fold: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "split.json")
        path.write_bytes(content)
        split = unless_refused(lambda: split_from_file(path, 10, fold))
    if split is None:
        return
    value = json.loads(content)
    entry = value[fold] if isinstance(value, list) else value
    if "model_selection" in entry and "train" not in entry:
        entry = {**entry["model_selection"][0], "test": entry["test"]}
    elif "model_selection" in entry:
        return
    val = entry["val"] if "val" in entry else entry["validation"]
    assert split.train.tolist() == sorted(entry["train"])
    assert split.val.tolist() == sorted(val)
    assert split.test.tolist() == sorted(entry["test"])


@options(500)
@given(st.sampled_from(LAYOUTS), damages([""]), st.integers(-1, 2))
def test_damaged_split_files(layout, how, fold) -> None:
    text = json.dumps(layout, indent=0).encode()
    _, kind, where, what = how
    check_split(damaged(text, kind, where, what), fold)


@options(500)
@given(st.one_of(entries, st.lists(entries, max_size=2), numbers), st.integers(-1, 2))
def test_split_files_of_any_content(content, fold) -> None:
    check_split(json.dumps(content).encode(), fold)


def test_split_files_with_what_chance_seldom_finds() -> None:
    check_split(json.dumps({**SPLIT, "train": [10**30]}).encode(), 0)
    check_split(b"[" * 100_000, 0)
    check_split(b'{"train":' * 100_000, 0)
