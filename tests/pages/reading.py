"""What the pages of the documentation hold."""

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
INCLUDE = re.compile(
    r'^```\{include\} (\S+)\n(?::start-after: "(.*)"\n)?(?::end-before: "(.*)"\n)?```$',
    re.MULTILINE,
)
BLOCK = re.compile(r"^```(python|pycon|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, *kinds: str) -> list[tuple[str, str]]:
    """Kind and code, after as many empty lines as put it where the page has it.

    What a page includes of other files counts as its own.
    """
    text = INCLUDE.sub(lambda include: _included(page, *include.groups()), _read(page))
    return [
        (block[1], "\n" * text.count("\n", 0, block.start(2)) + block[2])
        for block in BLOCK.finditer(text)
        if block[1] in kinds
    ]


def _included(page: Path, name: str, after: str | None, before: str | None) -> str:
    text = _read(page.parent / name)
    text = text.split(after, 1)[1] if after else text
    return text.split(before, 1)[0] if before else text


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def commands(page: Path) -> list[list[str]]:
    """The words of each command of the page."""
    lines = "".join(code for _, code in blocks(page, "console")).split("\n")
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line]
