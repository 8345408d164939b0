import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.data import Data

from pyg_diffpool._files import save_whole
from pyg_diffpool.datasets import cache_folder
from pyg_diffpool.datasets._cache import load_if_whole, pack, unpack

KEYS = frozenset({"a"})


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_cache_folder_follows_the_environment(monkeypatch, tmp_path, platform):
    variable = "LOCALAPPDATA" if platform == "win32" else "XDG_CACHE_HOME"
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert cache_folder() == tmp_path / "pyg_diffpool"
    for value in ("", "relative/folder"):
        monkeypatch.setenv(variable, value)
        assert cache_folder() == Path.home() / ".cache" / "pyg_diffpool"


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "new" / "file.pt"
    assert load_if_whole(path, KEYS) is None
    save_whole({"a": torch.arange(3), "b": ["x"]}, path)
    content = load_if_whole(path, KEYS)
    assert content is not None
    assert content["a"].tolist() == [0, 1, 2]
    assert [entry.name for entry in path.parent.iterdir()] == ["file.pt"]


@pytest.mark.parametrize("content", [{"b": 1}, [1], {"a": Path("code")}])
def test_other_content_counts_as_damaged(tmp_path, content):
    path = tmp_path / "file.pt"
    save_whole(content, path)
    with pytest.warns(UserWarning, match=r"file.pt' is damaged and will be built"):
        assert load_if_whole(path, KEYS) is None


def test_a_failed_save_keeps_the_old_file(tmp_path):
    path = tmp_path / "file.pt"
    save_whole({"a": 1}, path)
    with pytest.raises(AttributeError, match="pickle"):
        save_whole({"a": lambda: None}, path)
    assert load_if_whole(path, KEYS) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.pt"]


@pytest.mark.parametrize("largest", [1, 2**15 - 1, 2**15, 2**31, -(2**31) - 1])
def test_packing_loses_nothing(largest):
    data = Data(x=torch.tensor([[largest, 0]]), y=torch.tensor([0.5]), words=["a"])
    data.short = torch.tensor([1], dtype=torch.int32)
    packed = pack(data)
    restored = unpack(packed)
    assert packed["fields"]["x"].element_size() == {1: 2, 32767: 2, 32768: 4}.get(
        largest, 8
    )
    assert restored.keys() == data.keys()
    assert restored.words == ["a"]
    for key in ("x", "y", "short"):
        assert_close(restored[key], data[key], rtol=0, atol=0)
