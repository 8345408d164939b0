import asyncio
from pathlib import Path

import pytest

from pyg_diffpool.datasets import PythonFunctions

SOURCES = {
    "shapes.py": '''
def area(side):
    """Return the area, as area() says."""
    return side * area(side - 1)

class Square:
    def get_side(self):
        return self.get_side + self._get_side("get_side")
    async def set_side(self, value: int = 1, *, other=b"set_side"):
        self.side, [*rest] = value, other
''',
    "pkg/__init__.py": "def get_name(): pass\ndef getSize(x): return f'{x!r}'\n",
    "pkg/copy.py": "def area(a):\n    return a\ndef get_area(a):\n    return a\n",
    "pkg/broken.py": "def get_broken(:\n",
    "pkg/binary.py": "def get_null(): pass\0",
    "pkg/test/test_shapes.py": "def get_tested(): pass\n",
    "site-packages/other.py": "def get_other(): pass\n",
    "pkg/latin.py": "# -*- coding: latin-1 -*-\ndef set_é(): return 'é'\n",
}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for name, text in SOURCES.items():
        path = tmp_path / "sources" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="latin-1" if "latin-1" in text else "utf-8")
    return tmp_path / "sources"


@pytest.fixture(scope="session")
def asyncio_functions(tmp_path_factory: pytest.TempPathFactory) -> PythonFunctions:
    """Those of one package of the standard library."""
    source = Path(asyncio.__file__).parent
    return PythonFunctions(tmp_path_factory.mktemp("asyncio"), source=source)
