import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyg_diffpool._files import write_whole


@contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    """As a full disk: the system itself refuses larger files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a"
    for content in (b"first", b"second"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert [*path.parent.iterdir()] == [path]


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"old")
    text = r"write 5,000 bytes to '.*a' \(got: File too large\).* before is kept"
    with largest_file(1000), pytest.raises(OSError, match=text):
        write_whole(path, b"x" * 5000)
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/a' \(got: File exists\). Free space"):
        write_whole(tmp_path / "file" / "a", b"x")


def test_devices_stay_what_they_are() -> None:
    write_whole(Path(os.devnull), b"x")
    assert Path(os.devnull).is_char_device()
