import platform
import warnings

import pytest

from pyg_diffpool.datasets.python_sources import (
    fingerprint,
    module_name,
    read_functions,
    source_files,
    standard_library,
)


def test_files_are_sorted_and_tests_left_out(sources):
    names = [module_name(sources, path) for path in source_files(sources)]
    assert names == [
        "pkg", "pkg.binary", "pkg.broken", "pkg.copy", "pkg.latin", "shapes",
    ]  # fmt: skip


def test_the_standard_library_is_found():
    names = {path.name for path in source_files(standard_library())}
    assert {"argparse.py", "ast.py", "tempfile.py"} <= names
    assert not names & {"test_ast.py", "datasets.py"}


@pytest.mark.parametrize(
    ("name", "functions"),
    [
        ("broken.py", []),
        ("binary.py", []),
        ("copy.py", ["area", "get_area"]),
        ("latin.py", ["set_é"]),
    ],
)
def test_files_that_do_not_parse_are_passed_over(sources, name, functions):
    found = read_functions(sources / "pkg" / name)
    assert [function.name for function in found] == functions


def test_deeply_nested_source_is_read_or_passed_over(tmp_path):
    path = tmp_path / "deep.py"
    path.write_text("def f(): return " + "(" * 5000 + ")" * 5000)
    assert read_functions(path) == []
    path.write_text("def f(): return " + "x." * 90 + "y")
    assert len(read_functions(path)) == 1


def test_warnings_of_the_parser_stay_silent(tmp_path):
    path = tmp_path / "escape.py"
    path.write_text(r"def f(): return '\d' is 1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_functions(path)) == 1


def test_fingerprint_knows_interpreter_files_and_settings(sources, monkeypatch):
    files = source_files(sources)
    first = fingerprint(sources, files, "a")
    assert first == fingerprint(sources, files, "a")
    assert first.startswith(f"cpython-{platform.python_version()}-") or (
        platform.python_implementation() != "CPython"
    )
    others = [fingerprint(sources, files, "b"), fingerprint(sources, files[1:], "a")]
    files[0].write_text("def get_another(): pass\n")
    others.append(fingerprint(sources, files, "a"))
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    others.append(fingerprint(sources, files, "a"))
    assert len({first, *others}) == 5


@pytest.mark.parametrize("missing", [True, False])
def test_a_folder_without_python_files_is_refused(tmp_path, missing):
    with pytest.raises(ValueError, match=r"expected Python files below .* found none"):
        source_files(tmp_path / "nowhere" if missing else tmp_path)
