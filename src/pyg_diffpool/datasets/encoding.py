"""Syntax trees as graphs in the layout of ogbg-code2."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_diffpool.datasets.syntax_tree import MASK, SyntaxTree

MAX_DEPTH = 20
"""Nodes further from the root than this are given this depth."""

NUM_ATTRIBUTES = 10_000
"""How many attributes have an index of their own, besides the three below."""

NONE, UNKNOWN = "<none>", "<unknown>"
"""Stand for no attribute and for one outside the vocabulary."""

TREE, NEXT_TOKEN, TREE_AND_NEXT_TOKEN = 0, 1, 2
"""Kinds of edges: the first column of ``edge_attr``."""

FORWARD, INVERSE = 0, 1
"""Directions of edges: the second column of ``edge_attr``."""


@dataclass(frozen=True)
class Vocabulary:
    """The indices of node types and node attributes.

    Attributes:
        types: Node types, in alphabetical order.
        attributes: :data:`NONE`, :data:`UNKNOWN`, :data:`MASK`, then the most
            frequent attributes, the more frequent first, ties in alphabetical order.
    """

    types: list[str]
    attributes: list[str]

    @classmethod
    def of(cls, trees: Iterable[SyntaxTree]) -> "Vocabulary":
        """Count the types and attributes of ``trees``."""
        types: set[str] = set()
        counts: Counter[str] = Counter()
        for tree in trees:
            types.update(tree.types)
            counts.update(a for a in tree.attributes if a is not None)
        del counts[MASK]
        ranked = sorted(counts, key=lambda attribute: (-counts[attribute], attribute))
        frequent = ranked[:NUM_ATTRIBUTES]
        return cls(sorted(types), [NONE, UNKNOWN, MASK, *frequent])

    @cached_property
    def type_index(self) -> dict[str, int]:
        """Index of every type."""
        return {name: index for index, name in enumerate(self.types)}

    @cached_property
    def attribute_index(self) -> dict[str, int]:
        """Index of every attribute that has one."""
        return {name: index for index, name in enumerate(self.attributes)}


def encode_tree(tree: SyntaxTree, vocabulary: Vocabulary) -> Data:
    """Turn a tree into the graph that models see.

    Args:
        tree: A tree of n nodes.
        vocabulary: Must have every type of the tree; attributes outside it become
            :data:`UNKNOWN`.

    Returns:
        ``x`` of shape ``[n, 2]`` (type, attribute), ``node_depth``,
        ``node_is_attributed`` and ``node_dfs_order`` of shape ``[n, 1]``, and the
        ``edge_index`` and ``edge_attr`` of :func:`tree_edges`, all int64.
    """
    unknown = vocabulary.attribute_index[UNKNOWN]
    types = [vocabulary.type_index[name] for name in tree.types]
    attributes = [
        vocabulary.attribute_index.get(NONE if name is None else name, unknown)
        for name in tree.attributes
    ]
    x = torch.tensor([types, attributes]).t().contiguous()
    is_attributed = torch.tensor([name is not None for name in tree.attributes])
    edge_index, edge_attr = tree_edges(torch.tensor(tree.parents), is_attributed)
    return Data(
        x=x,
        edge_index=edge_index,
        edge_attr=edge_attr,
        node_depth=torch.tensor(tree.depths).clamp(max=MAX_DEPTH).view(-1, 1),
        node_is_attributed=is_attributed.long().view(-1, 1),
        node_dfs_order=torch.arange(len(tree.types)).view(-1, 1),
    )


def tree_edges(
    parents: Tensor,  # [n]
    is_attributed: Tensor,  # [n]
) -> tuple[Tensor, Tensor]:
    """Connect the nodes of a tree as ogbg-code2's ``augment_edge`` does.

    Tree edges lead from parent to child, next-token edges from each attributed
    node to the next one in depth-first order, and every edge has its inverse. A
    next-token edge along a tree edge is not repeated but marked, so that no edge
    stands twice and the adjacency matrix holds ones only.

    Args:
        parents: Position of every node's parent, shape ``[n]``, nodes in pre-order,
            -1 for the root at position 0.
        is_attributed: Which nodes carry an attribute, boolean, shape ``[n]``.

    Returns:
        ``edge_index`` of shape ``[2, E]``, sorted by row, then column, and
        ``edge_attr`` of shape ``[E, 2]``: the kind (0 tree, 1 next token, 2 both)
        and the direction (0 forward, 1 inverse).

    Example:
        >>> edge_index, edge_attr = tree_edges(
        ...     torch.tensor([-1, 0, 0]), torch.tensor([False, True, True])
        ... )
        >>> edge_index.tolist()
        [[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]]
        >>> edge_attr[:, 0].tolist()
        [0, 0, 0, 1, 0, 1]
    """
    num_nodes = parents.numel()
    child = torch.arange(1, num_nodes)
    token = is_attributed.nonzero().view(-1)
    source, target = token[:-1], token[1:]
    along_tree = parents[target] == source
    tree_kind = torch.full_like(child, TREE)
    tree_kind[target[along_tree] - 1] = TREE_AND_NEXT_TOKEN
    source, target = source[~along_tree], target[~along_tree]
    row = torch.cat([parents[1:], source])
    column = torch.cat([child, target])
    kind = torch.cat([tree_kind, torch.full_like(source, NEXT_TOKEN)])
    direction = torch.cat([torch.full_like(kind, d) for d in (FORWARD, INVERSE)])
    edge_index = torch.stack([torch.cat([row, column]), torch.cat([column, row])])
    edge_attr = torch.stack([torch.cat([kind, kind]), direction], dim=1)
    order = (edge_index[0] * num_nodes + edge_index[1]).argsort()
    return edge_index[:, order], edge_attr[order]
