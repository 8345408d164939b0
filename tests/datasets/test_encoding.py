import ast
from itertools import pairwise

import pytest
import torch
from torch.testing import assert_close
from torch_geometric.utils import coalesce

from pyg_diffpool.datasets import encoding
from pyg_diffpool.datasets.encoding import Vocabulary, encode_tree, tree_edges
from pyg_diffpool.datasets.syntax_tree import function_definitions, syntax_tree


def parse(source):
    return syntax_tree(ast.parse(source).body[0])


def plain_edges(parents, attributed):
    """Tree and next-token edges, forward only."""
    tokens = [i for i, a in enumerate(attributed) if a]
    links = {(parent, child) for child, parent in enumerate(parents) if parent >= 0}
    return links, set(pairwise(tokens))


def test_edges_are_those_of_ogbg_code2(sources):
    kinds = set()
    for function in function_definitions(
        ast.parse((sources / "shapes.py").read_bytes())
    ):
        tree = syntax_tree(function)
        attributed = [a is not None for a in tree.attributes]
        edge_index, edge_attr = tree_edges(
            torch.tensor(tree.parents), torch.tensor(attributed)
        )
        links, steps = plain_edges(tree.parents, attributed)
        expected = {}
        for row, column in links | steps:
            both = (row, column) in links & steps
            kind = 2 if both else int((row, column) in steps)
            expected[row, column] = [kind, 0]
            expected[column, row] = [kind, 1]
        edges = map(tuple, edge_index.t().tolist())
        found = dict(zip(edges, edge_attr.tolist(), strict=True))
        assert found == expected
        assert_close(edge_index, coalesce(edge_index))
        kinds.update(edge_attr[:, 0].tolist())
    assert kinds == {0, 1, 2}


def test_one_node_has_no_edges():
    edge_index, edge_attr = tree_edges(torch.tensor([-1]), torch.tensor([True]))
    assert edge_index.shape == (2, 0)
    assert edge_attr.shape == (0, 2)


def test_vocabulary_orders_by_frequency_then_text(monkeypatch):
    monkeypatch.setattr(encoding, "NUM_ATTRIBUTES", 3)
    trees = [parse("def f(b, a, c, d): return c, d, d, f, f, f, f")]
    vocabulary = Vocabulary.of(trees)
    assert vocabulary.attributes == ["<none>", "<unknown>", "<mask>", "d", "c", "a"]
    assert vocabulary.types == sorted(set(trees[0].types))


def test_encoded_graph_has_all_fields(monkeypatch):
    monkeypatch.setattr(encoding, "NUM_ATTRIBUTES", 1)
    tree = parse("def f(a): return a + b")
    vocabulary = Vocabulary.of([tree])
    data = encode_tree(tree, vocabulary)
    data.validate(raise_on_error=True)
    texts = [vocabulary.attributes[i] for i in data.x[:, 1]]
    unknown = {"b": "<unknown>", None: "<none>"}
    assert texts == [unknown.get(a, a) for a in tree.attributes]
    assert [vocabulary.types[i] for i in data.x[:, 0]] == list(tree.types)
    assert data.node_dfs_order.view(-1).tolist() == list(range(data.num_nodes))
    assert data.node_depth.view(-1).tolist() == list(tree.depths)
    attributed = [a is not None for a in tree.attributes]
    assert data.node_is_attributed.view(-1).bool().tolist() == attributed


@pytest.mark.parametrize("depth", [10, 40])
def test_depth_is_capped_at_20(depth):
    tree = parse(f"def f(): return {'not ' * depth} a")
    data = encode_tree(tree, Vocabulary.of([tree]))
    assert int(data.node_depth.max()) == min(max(tree.depths), 20)
    assert max(tree.depths) == depth + 3
