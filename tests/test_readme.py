"""The README's Python runs as it stands."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_examples_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    names: dict[str, object] = {"__name__": "readme"}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)


def test_an_example_stands_within_the_first_40_lines() -> None:
    head = "\n".join(README.read_text("utf-8").splitlines()[:40])
    assert re.search(r"```python\n.*?```", head, re.DOTALL)
