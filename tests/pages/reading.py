"""What the pages of the documentation hold."""

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
BLOCK = re.compile(r"^```(python|pycon|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, *kinds: str) -> list[tuple[str, str]]:
    """Kind and code, after as many empty lines as put it where the page has it."""
    text = page.read_text(encoding="utf-8")
    return [
        (block[1], "\n" * text.count("\n", 0, block.start(2)) + block[2])
        for block in BLOCK.finditer(text)
        if block[1] in kinds
    ]


def commands(page: Path) -> list[list[str]]:
    """The words of each command of the page."""
    lines = "".join(code for _, code in blocks(page, "console")).split("\n")
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line]
