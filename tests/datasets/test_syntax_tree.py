"""One function as a tree: its nodes, and its own name masked out."""

import ast
import warnings

import pytest

from pyg_diffpool.datasets.syntax_tree import (
    MASK,
    function_definitions,
    name_words,
    read_trees,
    syntax_tree,
)


def tree_of(source):
    return syntax_tree(next(function_definitions(ast.parse(source))))


def test_nodes_stand_in_depth_first_order():
    tree = tree_of("def f(a): a.b(1)")
    columns = (tree.types, tree.attributes, tree.parents, tree.depths)
    assert list(zip(*columns, strict=True)) == [
        ("FunctionDef", MASK, -1, 0),
        ("arguments", None, 0, 1),
        ("arg", "a", 1, 2),
        ("Expr", None, 0, 1),
        ("Call", None, 3, 2),
        ("Attribute", "b", 4, 3),
        ("Name", "a", 5, 4),
        ("Load", None, 6, 5),
        ("Load", None, 5, 4),
        ("Constant", "1", 4, 3),
    ]


@pytest.mark.parametrize(
    ("source", "attributes"),
    [
        ("def f(self): self.f = self.f_", [MASK, "self", MASK, "self", "f_", "self"]),
        ("def f(x): f(f=x)", [MASK, "x", MASK, MASK, "x"]),
        ("@f.setter\ndef f(): pass", [MASK, "setter", MASK]),
        ("def f(): global f, g", [MASK, "<mask>,g"]),
        ("def f(): import a.f as b; from f import g", [MASK, "a.<mask>,b", MASK, "g"]),
        ("def f():\n class f: 1\n try: 2\n except E as f: 3", [*"123E", *[MASK] * 3]),
        ("def f(): 'f'; b'f'; u'a'", [MASK, MASK, MASK, "'a'"]),
        ("def f(): '\\nf(x) of_f if'", [MASK, r"'\n<mask>(x) of_f if'"]),
        ("def f(): b'a f'", [MASK, "b'a <mask>'"]),
        ("def f(): 1.5; None; ...", [MASK, "1.5", "None", "Ellipsis"]),
        ("async def f(**f): pass", [MASK, MASK]),
        ("def f(a):\n match a:\n  case {**f}: pass", [MASK, "a", "a", MASK]),
    ],
)
def test_own_name_is_masked(source, attributes):
    tree = tree_of(source)
    nodes = ast.walk(ast.parse(source).body[0])
    assert sorted(tree.types) == sorted(type(node).__name__ for node in nodes)
    found = [a for a in tree.attributes if a is not None]
    assert sorted(found) == sorted(attributes)
    assert tree.name == "f"


def test_depth_is_not_limited_by_recursion():
    value: ast.expr = ast.Name("leaf", ast.Load())
    for _ in range(20_000):
        value = ast.UnaryOp(ast.Not(), value)
    (function,) = function_definitions(ast.parse("def f(): pass"))
    function.body = [ast.Return(value)]
    tree = syntax_tree(function)
    assert max(tree.depths) == 20_003
    assert tree.attributes.count("leaf") == 1
    assert sum(1 for _ in function_definitions(function)) == 1


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("class A:\n def a():\n  def b(): 0\n def c(): 0\ndef d(): 0", [*"abcd"]),
        (r"def f(): return '\d' is 1", ["f"]),  # the parser warns
        ("def f(): return " + "x." * 90 + "y", ["f"]),
        ("def f(): return " + "(" * 5000 + ")" * 5000, []),
    ],
)
def test_functions_of_a_file(tmp_path, source, names):
    (tmp_path / "file.py").write_text(source, "latin-1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [tree.name for tree in read_trees(tmp_path / "file.py")] == names


def test_names_are_split_into_words():
    names = "get_item assertEqual do_GET HTMLParser utf8_Encode2 X11Get __init__ été_x"
    words = (
        "get item assert equal do get html parser utf 8 encode 2 x 11 get init été x"
    )
    assert name_words(names) == words.split()
    assert name_words("_") == []
