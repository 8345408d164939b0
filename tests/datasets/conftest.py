import json
import os
import tarfile
from pathlib import Path

import pytest

from pyg_diffpool.datasets import PythonFunctions

SOURCES = {
    "shapes.py": '''
def area(side):
    """Return the area, as area() says."""
    return side * area(side - 1)

class Square:
    @property
    def get_side(self):
        return self.get_side + self._get_side("get_side")

    async def set_side(self, value: int = 1, *, other=b"set_side"):
        async with value as v:
            self.side, [*rest] = v, other
''',
    "pkg/__init__.py": "def get_name(): pass\ndef getSize(x): return f'{x!r}'\n",
    "pkg/copy.py": "def area(a):\n    return a\ndef get_area(a):\n    return a\n",
    "pkg/broken.py": "def get_broken(:\n",
    "pkg/binary.py": "def get_null(): pass\0",
    "pkg/test/test_shapes.py": "def get_tested(): pass\n",
    "site-packages/other.py": "def get_other(): pass\n",
    "pkg/latin.py": "# -*- coding: latin-1 -*-\ndef set_é(): return 'é'\n",
}


def write_files(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        encoding = "latin-1" if "latin-1" in text else "utf-8"
        path.write_text(text, encoding=encoding)
    return folder


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory):
    """Keep the tests away from the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(variable, str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def sources(tmp_path):
    return write_files(tmp_path / "sources", SOURCES)


@pytest.fixture(scope="session")
def standard_functions(tmp_path_factory):
    """The true data set, built once for all tests."""
    return PythonFunctions(tmp_path_factory.mktemp("standard"))


@pytest.fixture(scope="session")
def unpack(tmp_path_factory):
    """Unpack NAME.tar.xz of the development data; skip where it is not."""
    default = Path(__file__).parents[3] / "shared" / "data"
    archives = Path(os.environ.get("PYG_DIFFPOOL_DATA", default))
    target = tmp_path_factory.mktemp("data")

    def unpack_one(name):
        archive = archives / f"{name}.tar.xz"
        if not archive.is_file():
            pytest.skip(f"no {archive}: set PYG_DIFFPOOL_DATA to the folder with it")
        if not (target / name).exists():
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")
        return target / name

    return unpack_one


@pytest.fixture
def tu_folder(tmp_path):
    """Three graphs of 3, 2 and 1 nodes; the last has no edges."""
    files = {
        "TOY_A.txt": "2, 1\n1, 2\n1, 3\n3, 1\n1, 1\n4, 5\n5, 4\n4, 5",
        "TOY_graph_indicator.txt": "1\n1\n1\n2\n2\n3",
        "TOY_graph_labels.txt": "-1\n1\n-1\n",
    }
    return write_files(tmp_path / "TOY" / "raw", files)


@pytest.fixture
def write_json(tmp_path):
    def write(content):
        path = tmp_path / "splits.json"
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text)
        return path

    return write
