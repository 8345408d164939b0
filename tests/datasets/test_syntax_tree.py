import ast

import pytest

from pyg_diffpool.datasets.syntax_tree import (
    MASK,
    function_definitions,
    name_words,
    syntax_tree,
)


def tree_of(source):
    return syntax_tree(next(function_definitions(ast.parse(source))))


def test_nodes_stand_in_depth_first_order():
    tree = tree_of("def f(a):\n    return a.b(1)\n")
    columns = (tree.types, tree.attributes, tree.parents, tree.depths)
    assert list(zip(*columns, strict=True)) == [
        ("FunctionDef", MASK, -1, 0),
        ("arguments", None, 0, 1),
        ("arg", "a", 1, 2),
        ("Return", None, 0, 1),
        ("Call", None, 3, 2),
        ("Attribute", "b", 4, 3),
        ("Name", "a", 5, 4),
        ("Load", None, 6, 5),
        ("Load", None, 5, 4),
        ("Constant", "1", 4, 3),
    ]


def test_every_node_of_the_syntax_tree_is_there(sources):
    for path in sorted(sources.glob("*.py")):
        for function in function_definitions(ast.parse(path.read_bytes())):
            tree = syntax_tree(function)
            expected = sorted(type(node).__name__ for node in ast.walk(function))
            assert sorted(tree.types) == expected
            assert all(p < i for i, p in enumerate(tree.parents))


@pytest.mark.parametrize(
    ("source", "attributes"),
    [
        ("def f(): return f()", [MASK, MASK]),
        ("def f(self): self.f = self.f_", [MASK, "self", MASK, "self", "f_", "self"]),
        ("def f(x): f(f=x)", [MASK, "x", MASK, MASK, "x"]),
        ("@f.setter\ndef f(): pass", [MASK, "setter", MASK]),
        ("def f(): global f, g", [MASK, "<mask>,g"]),
        ("def f(): import a.f as b", [MASK, "a.<mask>,b"]),
        ("def f(): from f import g", [MASK, MASK, "g"]),
        ("def f():\n class f: pass", [MASK, MASK]),
        ("def f():\n try: pass\n except E as f: pass", [MASK, MASK, "E"]),
        ("def f(): 'f'; b'f'", [MASK, MASK, MASK]),
        ("def f(): '\\nf(x) of_f if'", [MASK, r"'\n<mask>(x) of_f if'"]),
        ("def f(): b'a f'", [MASK, "b'a <mask>'"]),
        ("def f(): u'a'", [MASK, "'a'"]),
        ("def f(): 1; 1.5; None; ...", [MASK, "1", "1.5", "None", "Ellipsis"]),
        ("async def f(**f): pass", [MASK, MASK]),
        ("def f(a):\n match a:\n  case {**f}: pass", [MASK, "a", "a", MASK]),
    ],
)
def test_own_name_is_masked_and_nothing_else(source, attributes):
    tree = tree_of(source)
    found = [a for a in tree.attributes if a is not None]
    assert sorted(found) == sorted(attributes)
    assert tree.name == "f"


def test_huge_integers_have_a_text():
    tree = tree_of(f"def f(): return 0x{'f' * 9000}")
    assert tree.attributes[-1] == "0x" + "f" * 9000


def test_depth_is_not_limited_by_recursion():
    value = ast.Name("leaf", ast.Load())
    for _ in range(20_000):
        value = ast.UnaryOp(ast.Not(), value)
    function = ast.parse("def f(): pass").body[0]
    function.body = [ast.Return(value)]
    tree = syntax_tree(function)
    assert max(tree.depths) == 20_003
    assert tree.attributes.count("leaf") == 1
    assert sum(1 for _ in function_definitions(function)) == 1


def test_functions_come_in_source_order():
    source = (
        "class A:\n def a(self):\n  def b(): pass\n def c(self): pass\ndef d(): pass"
    )
    functions = function_definitions(ast.parse(source))
    assert [function.name for function in functions] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("get_item", ["get", "item"]),
        ("assertEqual", ["assert", "equal"]),
        ("do_GET", ["do", "get"]),
        ("HTMLParser", ["html", "parser"]),
        ("utf8_Encode2", ["utf", "8", "encode", "2"]),
        ("__init__", ["init"]),
        ("été_x", ["été", "x"]),
        ("_", []),
    ],
)
def test_names_are_split_into_words(name, words):
    assert name_words(name) == words


def test_other_nodes_are_refused():
    with pytest.raises(TypeError, match=r"must be an ast.FunctionDef.*got Module"):
        syntax_tree(ast.parse("def f(): pass"))
