"""Syntax trees as graphs, much as in ogbg-code2."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from pyg_diffpool.datasets.syntax_tree import MASK, SyntaxTree

MAX_DEPTH = 20
"""Nodes further from the root than this are given this depth."""

NUM_ATTRIBUTES = 10_000
"""How many attributes have an index of their own, besides the three below."""

NONE, UNKNOWN = "<none>", "<unknown>"
"""Stand for no attribute and for one outside the vocabulary."""


@dataclass(frozen=True)
class Vocabulary:
    """The indices of node types and node attributes.

    Attributes:
        types: Index of every node type, in alphabetical order.
        attributes: Index of :data:`NONE`, :data:`UNKNOWN`, :data:`MASK`, then of the
            most frequent attributes, ties in alphabetical order.
    """

    types: dict[str, int]
    attributes: dict[str, int]

    @classmethod
    def of(cls, trees: Sequence[SyntaxTree]) -> "Vocabulary":
        """Count the types and attributes of ``trees``."""
        types = {name for tree in trees for name in tree.types}
        attributes = (a for tree in trees for a in tree.attributes if a is not None)
        counts = Counter(sorted(attributes))  # so that ties are in alphabetical order
        del counts[MASK]
        frequent = [text for text, _ in counts.most_common(NUM_ATTRIBUTES)]
        return cls(_index(sorted(types)), _index([NONE, UNKNOWN, MASK, *frequent]))


def encode_tree(tree: SyntaxTree, vocabulary: Vocabulary) -> Data:
    """Turn a tree of n nodes into the graph that models see.

    Returns:
        ``x`` of shape ``[n, 3]`` (type, attribute, depth), ``node_is_attributed`` and
        ``node_dfs_order`` of shape ``[n, 1]``, and the ``edge_index`` and
        ``edge_attr`` of :func:`tree_edges`, all int64.
    """
    unknown = vocabulary.attributes[UNKNOWN]
    types = [vocabulary.types[name] for name in tree.types]
    attributes = [
        vocabulary.attributes.get(NONE if name is None else name, unknown)
        for name in tree.attributes
    ]
    depths = [min(depth, MAX_DEPTH) for depth in tree.depths]
    is_attributed = torch.tensor([name is not None for name in tree.attributes])
    edge_index, edge_attr = tree_edges(torch.tensor(tree.parents), is_attributed)
    return Data(
        x=torch.tensor([types, attributes, depths]).t().contiguous(),
        edge_index=edge_index,
        edge_attr=edge_attr,
        node_is_attributed=is_attributed.long().view(-1, 1),
        node_dfs_order=torch.arange(len(types)).view(-1, 1),
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
    child = torch.arange(1, parents.numel())
    token = is_attributed.nonzero().view(-1)
    source = torch.cat([parents[1:], token[:-1]])
    target = torch.cat([child, token[1:]])
    kind = torch.ones_like(source)
    kind[child.numel() :] = 2
    # Where both kinds meet their sum is 3.
    edge_index, kind = to_undirected(
        torch.stack([source, target]), kind, parents.numel(), reduce="sum"
    )
    row, column = edge_index
    is_inverse = row > column  # in pre-order every forward edge leads to a later node
    return edge_index, torch.stack([kind - 1, is_inverse.long()], dim=1)


def _index(texts: Iterable[str]) -> dict[str, int]:
    return {text: index for index, text in enumerate(texts)}
