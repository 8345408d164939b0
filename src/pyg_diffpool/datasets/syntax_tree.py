"""One Python function as a tree of typed nodes, without its own name."""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

MASK = "<mask>"
"""Stands wherever the name of the function itself would stand."""

_NOT_TOKENS = frozenset({"type_comment", "kind"})
_WORD = re.compile(r"\d+|[A-Z]+(?![^\W\d_A-Z])|[A-Z]?[^\W\d_A-Z]+")
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class SyntaxTree:
    """The syntax tree of one function, nodes in depth-first order (pre-order).

    Attributes:
        name: The function's name, which stands nowhere in ``attributes``.
        types: Class of every node in :mod:`ast`, such as ``"Call"``.
        attributes: What the node says beyond its class: an identifier, the repr of
            a literal, or ``None``.
        parents: Position of every node's parent; -1 for the root, which is first.
        depths: Distance of every node from the root.
    """

    name: str
    types: list[str]
    attributes: list[str | None]
    parents: list[int]
    depths: list[int]


def read_trees(path: Path) -> list[SyntaxTree]:
    """Read all functions of a file; none if the interpreter cannot parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = ast.parse(path.read_bytes())
        except _UNREADABLE:
            return []
    return [syntax_tree(function) for function in function_definitions(module)]


def syntax_tree(function: Function) -> SyntaxTree:
    """Turn a function definition into a tree from which its own name is gone.

    Every node of the :mod:`ast` is a node here, operators and contexts (``Load``,
    ``Store``) included. The function's name becomes :data:`MASK` in the
    definition, in calls to itself, in ``self.name``, in decorators, and as a word
    within string and bytes literals, docstrings included. Longer words that
    contain it stay (``_close`` in ``close``). Nothing recurses, so depth is
    limited by memory alone.

    Example:
        >>> tree = syntax_tree(ast.parse("def f(n): return f(n)").body[0])
        >>> [a for a in tree.attributes if a is not None]
        ['<mask>', 'n', '<mask>', 'n']
    """
    own_name = re.compile(rf"(?<!\w){re.escape(function.name)}(?!\w)")
    tree = SyntaxTree(function.name, [], [], [], [])
    stack: list[tuple[ast.AST, int, int]] = [(function, -1, 0)]
    while stack:
        node, parent, depth = stack.pop()
        position = len(tree.types)
        attribute, children = _read_node(node, own_name)
        tree.types.append(type(node).__name__)
        tree.attributes.append(attribute)
        tree.parents.append(parent)
        tree.depths.append(depth)
        stack.extend((child, position, depth + 1) for child in reversed(children))
    return tree


def function_definitions(module: ast.AST) -> Iterator[Function]:
    """Yield methods, nested and other functions in the order of the source."""
    stack = [module]
    while stack:
        node = stack.pop()
        if isinstance(node, Function):
            yield node
        stack.extend(reversed(list(ast.iter_child_nodes(node))))


def name_words(name: str) -> list[str]:
    """Split an identifier at underscores, digits and capitals A to Z, in lower case.

    Example:
        >>> name_words("__getHTMLParser_v2")
        ['get', 'html', 'parser', 'v', '2']
    """
    return [word.lower() for word in _WORD.findall(name)]


def _read_node(
    node: ast.AST, own_name: re.Pattern[str]
) -> tuple[str | None, list[ast.AST]]:
    """Return a node's masked attribute and its children in source order."""
    if isinstance(node, ast.Constant):
        return _literal(node.value, own_name), []
    tokens: list[str] = []
    children: list[ast.AST] = []
    for field in node._fields:
        value = getattr(node, field, None)
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, ast.AST):
                children.append(item)
            elif isinstance(item, str) and field not in _NOT_TOKENS:
                tokens.append(item)
    return own_name.sub(MASK, ",".join(tokens)) if tokens else None, children


def _literal(value: object, own_name: re.Pattern[str]) -> str:
    if isinstance(value, str):
        masked = own_name.sub(MASK, value)
        return MASK if masked == MASK else repr(masked)
    if isinstance(value, bytes):
        masked = own_name.sub(MASK, value.decode("latin-1"))
        return MASK if masked == MASK else repr(masked.encode("latin-1"))
    return repr(value)
