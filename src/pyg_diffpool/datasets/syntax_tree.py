"""One Python function as a tree of typed nodes, without its own name."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

MASK = "<mask>"
"""Stands wherever the name of the function itself would stand."""

_NOT_TOKENS = frozenset({"type_comment", "kind"})
_RUN = re.compile(r"\d+|[^\W\d_]+")
_MAX_DECIMAL_BITS = 4096


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
    types: tuple[str, ...]
    attributes: tuple[str | None, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]


def syntax_tree(function: Function) -> SyntaxTree:
    """Turn a function definition into a tree from which its own name is gone.

    Every node of the :mod:`ast` is a node here, operators and contexts (``Load``,
    ``Store``) included. The function's name becomes :data:`MASK` in the
    definition, in calls to itself, in ``self.name``, in decorators, and as a word
    within string and bytes literals, docstrings included. Longer words that
    contain it stay (``_close`` in ``close``). Nothing recurses, so depth is
    limited by memory alone.

    Args:
        function: The definition, with everything below it.

    Returns:
        The tree.

    Raises:
        TypeError: If ``function`` is not a function definition.

    Example:
        >>> tree = syntax_tree(ast.parse("def f(n): return f(n)").body[0])
        >>> [a for a in tree.attributes if a is not None]
        ['<mask>', 'n', '<mask>', 'n']
    """
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        raise TypeError(
            f"'function' must be an ast.FunctionDef or ast.AsyncFunctionDef, got "
            f"{type(function).__name__}; pick one from function_definitions(module)"
        )
    own_name = re.compile(rf"(?<!\w){re.escape(function.name)}(?!\w)")
    types: list[str] = []
    attributes: list[str | None] = []
    parents: list[int] = []
    depths: list[int] = []
    stack: list[tuple[ast.AST, int]] = [(function, -1)]
    while stack:
        node, parent = stack.pop()
        position = len(types)
        attribute, children = _read_node(node, own_name)
        types.append(type(node).__name__)
        attributes.append(attribute)
        parents.append(parent)
        depths.append(depths[parent] + 1 if parent >= 0 else 0)
        stack.extend((child, position) for child in reversed(children))
    return SyntaxTree(
        name=function.name,
        types=tuple(types),
        attributes=tuple(attributes),
        parents=tuple(parents),
        depths=tuple(depths),
    )


def function_definitions(module: ast.AST) -> Iterator[Function]:
    """Yield every function below ``module``, methods and nested ones included.

    Args:
        module: A parsed module, or any other node.

    Yields:
        The definitions in the order in which they stand in the source.
    """
    stack = [module]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        stack.extend(reversed(list(ast.iter_child_nodes(node))))


def name_words(name: str) -> list[str]:
    """Split an identifier at underscores, capitals and digits, in lower case.

    Args:
        name: An identifier in snake_case, camelCase or a mixture.

    Returns:
        Its words; none for a name of underscores alone.

    Example:
        >>> name_words("__getHTMLParser_v2")
        ['get', 'html', 'parser', 'v', '2']
    """
    words: list[str] = []
    for run in _RUN.findall(name):
        begins = [0, *(i for i in range(1, len(run)) if _begins_word(run, i)), len(run)]
        words.extend(run[a:b].lower() for a, b in pairwise(begins))
    return words


def _begins_word(run: str, i: int) -> bool:
    after_lower = not run[i - 1].isupper()
    return run[i].isupper() and (after_lower or run[i + 1 : i + 2].islower())


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
    if isinstance(value, int) and value.bit_length() > _MAX_DECIMAL_BITS:
        return hex(value)
    return repr(value)
