"""Trees as graphs: vocabulary, node features and the edges of ogbg-code2."""

import ast
from itertools import pairwise

import torch
from torch_geometric.utils import is_undirected

from pyg_diffpool.datasets import encoding
from pyg_diffpool.datasets.encoding import Vocabulary, encode_tree, tree_edges
from pyg_diffpool.datasets.syntax_tree import SyntaxTree, read_trees, syntax_tree


def parse(source):
    return syntax_tree(ast.parse(source).body[0])


def test_edges_are_those_of_ogbg_code2(sources):
    kinds = set()
    one_node = SyntaxTree("f", ["Name"], ["a"], [-1], [0])
    for tree in [*read_trees(sources / "shapes.py"), one_node]:
        attributed = [a is not None for a in tree.attributes]
        edge_index, edge_attr = tree_edges(
            torch.tensor(tree.parents), torch.tensor(attributed)
        )
        assert edge_index.dtype == edge_attr.dtype == torch.long
        links = {(p, child) for child, p in enumerate(tree.parents) if p >= 0}
        steps = set(pairwise(i for i, a in enumerate(attributed) if a))
        expected = {}
        for row, column in links | steps:
            both = (row, column) in links & steps
            kind = 2 if both else int((row, column) in steps)
            expected[row, column] = [kind, 0]
            expected[column, row] = [kind, 1]
        edges = list(map(tuple, edge_index.t().tolist()))
        assert edges == sorted(expected)
        assert dict(zip(edges, edge_attr.tolist(), strict=True)) == expected
        kinds.update(edge_attr[:, 0].tolist())
    assert kinds == {0, 1, 2}


def test_vocabulary_is_ordered(monkeypatch):
    monkeypatch.setattr(encoding, "NUM_ATTRIBUTES", 3)
    tree = parse("def f(b, a, c, d): return c, d, d, f, f, f, f")
    vocabulary = Vocabulary.of([tree])
    special = ["<none>", "<unknown>", "<mask>"]
    assert list(vocabulary.attributes) == [*special, "d", "c", "a"]
    assert list(vocabulary.attributes.values()) == list(range(6))
    assert list(vocabulary.types) == sorted(set(tree.types))


def test_encoded_graph_has_all_fields(monkeypatch):
    monkeypatch.setattr(encoding, "NUM_ATTRIBUTES", 1)
    tree = parse(f"def f(a): return {'not ' * 40} (a + b)")
    vocabulary = Vocabulary.of([tree])
    data = encode_tree(tree, vocabulary)
    data.validate(raise_on_error=True)
    assert is_undirected(data.edge_index, num_nodes=data.num_nodes)
    types, attributes = list(vocabulary.types), list(vocabulary.attributes)
    unknown = {"b": "<unknown>", None: "<none>"}
    assert [types[i] for i in data.x[:, 0]] == tree.types
    assert [attributes[i] for i in data.x[:, 1]] == [
        unknown.get(a, a) for a in tree.attributes
    ]
    assert data.x[:, 2].tolist() == [min(d, 20) for d in tree.depths]
    attributed = [a is not None for a in tree.attributes]
    assert data.node_is_attributed.view(-1).bool().tolist() == attributed
    assert data.node_dfs_order.view(-1).tolist() == list(range(data.num_nodes))
