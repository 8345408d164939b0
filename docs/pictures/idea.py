"""Draws `idea.svg`: sparse mini-batch, ragged product, pooled graphs.

Run it after a change: python docs/pictures/idea.py
"""

from collections.abc import Sequence
from pathlib import Path

BLUE, ORANGE, GREY, GREEN = "#0072B2", "#E69F00", "#808080", "#009E73"
ROW, UNIT = 17, 17

# Nodes by place, edges by number, the likeliest cluster of each node.
GRAPHS = (
    (
        [(20, 8), (58, 4), (40, 36), (86, 34), (112, 8), (118, 52)],
        [(0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (3, 5), (4, 5)],
        "000111",
    ),
    ([(36, 8), (92, 4), (66, 32)], [(0, 1), (1, 2)], "011"),
    (
        [(18, 6), (46, 34), (80, 30), (112, 8)],
        [(0, 1), (1, 2), (2, 3)],
        "0011",
    ),
)
TOPS = (62, 186, 259)
SUB_B = '<tspan baseline-shift="sub" font-size="9">b</tspan>'
COLORS = {"0": BLUE, "1": ORANGE}
PARTS = (("Z", 3, (GREY,)), ("A S", 2, (GREEN,)), ("S", 2, (BLUE, ORANGE)))
RESULTS = ("X\u2032", "A\u2032", "SᵀS")


def circle(x: float, y: float, color: str, r: float = 7) -> str:
    return f'<circle cx="{x:g}" cy="{y:g}" r="{r:g}" fill="{color}"/>'


def line(x1: float, y1: float, x2: float, y2: float, width: float = 1.5) -> str:
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" '
        f'stroke="currentColor" stroke-opacity="0.55" stroke-width="{width:g}"/>'
    )


def box(
    x: float, y: float, width: float, height: float, fills: Sequence[str], across: bool
) -> str:
    """A matrix; its columns, or `across` its rows, are filled in turn."""
    out = []
    dx, dy = (0.0, height / len(fills)) if across else (width / len(fills), 0.0)
    for i, color in enumerate(fills):
        place = f'x="{x + i * dx:g}" y="{y + i * dy:g}"'
        size = f'width="{dx or width:g}" height="{dy or height:g}"'
        out.append(f'<rect {place} {size} fill="{color}" fill-opacity="0.35"/>')
    frame = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return "\n".join([*out, f'<rect {frame} class="frame"/>'])


def text(x: float, y: float, words: str, size: int = 13, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}">'
        f"{words}</text>"
    )


def graph(left: float, top: float, index: int) -> list[str]:
    nodes, edges, clusters = GRAPHS[index]
    places = [(left + x, top + y) for x, y in nodes]
    lines = [line(*places[i], *places[j]) for i, j in edges]
    return lines + [
        circle(*p, COLORS[c]) for p, c in zip(places, clusters, strict=True)
    ]


def matrices(left: float, top: float, rows: int, heads: bool) -> list[str]:
    """S of one graph and the right side of its product, `rows` high."""
    out = [box(left, top, 2 * UNIT, rows * ROW, (BLUE, ORANGE), across=False)]
    out.append(text(left + 2 * UNIT + 7, top + 9, "T", 11))
    if heads:
        out.append(text(left + UNIT, 42, "S"))
    x = left + 62
    for name, width, fills in PARTS:
        out.append(box(x, top, width * UNIT, rows * ROW, fills, across=False))
        if heads:
            out.append(text(x + width * UNIT / 2, 42, name))
        x += width * UNIT
    return [*out, text(left + 48, top + rows * ROW / 2 + 5, "\u00d7", 17)]


def pooled(left: float, top: float, heads: bool) -> list[str]:
    """The block of the result of one graph, and the graph it stands for."""
    out, x = [], left
    for name, (_, width, _) in zip(RESULTS, PARTS, strict=True):
        out.append(box(x, top, width * UNIT, 2 * ROW, (BLUE, ORANGE), across=True))
        if heads:
            out.append(text(x + width * UNIT / 2, 42, name))
        x += width * UNIT
    y = top + ROW
    out.append(line(x + 34, y, x + 84, y, 5))
    return [*out, circle(x + 34, y, BLUE, 11), circle(x + 84, y, ORANGE, 11)]


def draw() -> str:
    parts = [
        text(76, 18, "mini-batch", 15),
        text(338, 18, "one ragged product", 15),
        text(645, 18, "B graphs of K clusters", 15),
    ]
    for b, top in enumerate(TOPS):
        rows = len(GRAPHS[b][0])
        height = rows * ROW
        middle = top + height / 2
        parts += graph(10, middle - 24, b)
        parts += matrices(235, top, rows, heads=b == 0)
        parts += [text(188, middle + 5, "→", 20), text(470, middle + 5, "→", 20)]
        parts += pooled(520, middle - ROW, heads=b == 0)
    foot = 350
    parts += [
        text(76, foot, f"n{SUB_B} nodes each, N in all", 12),
        text(338, foot, "N rows, no padding", 12),
        text(645, foot, "dense, small, of one size", 12),
    ]
    label = (
        "A sparse mini-batch of three graphs of different size; one ragged product "
        "of their assignments with their features; three pooled graphs of one size"
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 770 362" role="img" '
        f'aria-label="{label}">'
    )
    return "\n".join([head, *parts, "</svg>", ""])


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(draw(), encoding="utf-8")
