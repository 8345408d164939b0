"""From Python source files to labelled graphs, one for each function."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch_geometric.data import Data
from tqdm import tqdm  # type: ignore[import-untyped]

from pyg_diffpool.datasets.encoding import Vocabulary, encode_tree
from pyg_diffpool.datasets.python_sources import module_name, read_functions
from pyg_diffpool.datasets.syntax_tree import SyntaxTree, name_words, syntax_tree

NUM_CLASSES = 20
"""How many first words are classes."""

UNLABELLED = -100
"""``y`` of a function of no class: the label that torch's losses ignore."""


@dataclass(frozen=True)
class FunctionGraphs:
    """What a set of source files holds.

    Attributes:
        graphs: One graph for each function, in the order of the files.
        vocabulary: The indices in the graphs' ``x``.
        class_names: The first words that are classes, the most frequent first.
        module_names: The dotted names of the files.
    """

    graphs: list[Data]
    vocabulary: Vocabulary
    class_names: list[str]
    module_names: list[str]


def read_function_graphs(folder: Path, files: Sequence[Path]) -> FunctionGraphs:
    """Make a graph of every function in ``files``.

    Files that the interpreter cannot parse are passed over.

    Args:
        folder: The folder that module names are relative to.
        files: Python files below it.

    Returns:
        Graphs, vocabulary and names. Equal files give equal results.

    Raises:
        ValueError: If no file holds a function.
    """
    trees: list[SyntaxTree] = []
    modules: list[int] = []
    for index, path in enumerate(tqdm(files, "Reading functions", disable=None)):
        functions = read_functions(path)
        trees.extend(map(syntax_tree, functions))
        modules.extend([index] * len(functions))
    if not trees:
        raise ValueError(
            f"expected functions in the {len(files)} Python files below "
            f"{str(folder)!r}, found none; give another folder as 'source'"
        )
    vocabulary = Vocabulary.of(trees)
    graphs = [encode_tree(tree, vocabulary) for tree in trees]
    class_names = _name_graphs(graphs, [name_words(tree.name) for tree in trees])
    groups: dict[object, int] = {}
    for graph, tree, module in zip(graphs, trees, modules, strict=True):
        key = (tree.parents, graph.x.numpy().tobytes())
        graph.module = torch.tensor([module])
        graph.duplicate_group = torch.tensor([groups.setdefault(key, len(groups))])
    return FunctionGraphs(
        graphs, vocabulary, class_names, [module_name(folder, path) for path in files]
    )


def _name_graphs(graphs: Iterable[Data], names: Sequence[list[str]]) -> list[str]:
    """Set ``y`` and ``name_tokens`` of every graph and return the classes."""
    counts = Counter(words[0] for words in names if words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    classes = {word: index for index, word in enumerate(ranked[:NUM_CLASSES])}
    for graph, words in zip(graphs, names, strict=True):
        label = classes.get(words[0], UNLABELLED) if words else UNLABELLED
        graph.y = torch.tensor([label])
        graph.name_tokens = words
    return list(classes)
