"""The functions of the Python standard library as graphs, without a download."""

import json
import os
import platform
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import torch
from torch_geometric import get_home_dir
from torch_geometric.data import Data, InMemoryDataset

from pyg_diffpool.datasets.encoding import MAX_DEPTH, Vocabulary, encode_tree
from pyg_diffpool.datasets.syntax_tree import SyntaxTree, name_words, read_trees

NUM_CLASSES = 20
"""How many first words are classes."""

UNLABELLED = -100
"""``y`` of a function of no class: the label that torch's losses ignore."""

SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
)
"""Folders whose files are no part of the library itself."""


class PythonFunctions(InMemoryDataset):
    r"""The functions of the standard library of the running interpreter.

    One graph is one function: its syntax tree, nodes and edges as in ogbg-code2 (`Hu
    et al. 2020 <https://arxiv.org/abs/2005.00687>`_), with the function's own name
    masked out. The task is to say the first word of the name (``init``, ``get``,
    ``set``, ...). Made from the source files at hand, once, and then read from the
    cache; another interpreter, or changed sources, make a file of their own.

    All functions outside test folders are taken, methods and nested functions
    included. On CPython 3.11.7 these are 16,539 graphs of 3 to 2,511 nodes and
    1,109,598 nodes in all. The 20 most frequent first words are the classes; 5,555
    functions have one of them, the others have ``y = -100``, which
    :func:`torch.nn.functional.cross_entropy` ignores, and are left out with
    ``labelled_only=True``.

    Each graph of n nodes has ``x`` ``[n, 3]``, integer (type, attribute, depth) below
    ``feature_cardinalities``, of which a model makes embeddings;
    ``node_is_attributed`` ``[n, 1]``, ``node_dfs_order`` ``[n, 1]``, ``edge_index``
    ``[2, E]`` and ``edge_attr`` ``[E, 2]`` (see
    :func:`~pyg_diffpool.datasets.encoding.tree_edges`), ``y`` ``[1]``,
    ``name_tokens`` (all words of the name, for sequence prediction), ``module``
    ``[1]`` and ``duplicate_group`` ``[1]``: functions with equal graphs have equal
    numbers, so that a split can keep them together.

    Args:
        root: Folder of the cache file. (default: ``PythonFunctions`` in PyG's
            :func:`torch_geometric.get_home_dir`)
        transform: Called on every graph at each access. (default: None)
        pre_transform: Called on every graph before it is cached. Another one, or
            another ``pre_filter``, needs ``force_reload`` or another ``root``.
            (default: None)
        pre_filter: Says which graphs to cache. (default: None)
        force_reload: Build the cache even if there is one. (default: False)
        source: Folder of Python files to use instead of the standard library; its
            test folders are skipped as well. (default: None)
        labelled_only: Leave out the functions without a class. (default: False)

    Attributes:
        class_names: The word of every class, the most frequent first.
        type_vocabulary: The name of every node type.
        attribute_vocabulary: The text of every node attribute.
        module_names: The dotted name of every module.

    Raises:
        ValueError: If ``source`` holds no function.

    Example:
        .. code-block:: python

            dataset = PythonFunctions(labelled_only=True)
            print(dataset[0].name_tokens, dataset.class_names[dataset[0].y])
    """

    def __init__(
        self,
        root: str | Path | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        force_reload: bool = False,
        *,
        source: str | Path | None = None,
        labelled_only: bool = False,
    ) -> None:
        self._source = Path(source or sysconfig.get_paths()["stdlib"])
        self._files = source_files(self._source)
        self._fingerprint = fingerprint(self._source, self._files)
        root = root or Path(get_home_dir(), "PythonFunctions")
        super().__init__(
            str(root), transform, pre_transform, pre_filter, force_reload=force_reload
        )
        graphs, names = map(Path, self.processed_paths)
        self.load(str(graphs))
        content = json.loads(names.read_text("utf-8"))
        self.type_vocabulary: list[str] = content["types"]
        self.attribute_vocabulary: list[str] = content["attributes"]
        self.class_names: list[str] = content["classes"]
        self.module_names: list[str] = content["modules"]
        if labelled_only:
            self._indices = (self._data.y != UNLABELLED).nonzero().view(-1).tolist()

    @property
    def processed_dir(self) -> str:
        """Folder of the cache, one for each interpreter and set of sources."""
        return str(Path(self.root, "processed", self._fingerprint))

    @property
    def processed_file_names(self) -> list[str]:
        """Names of the cache files, in the order in which they are written."""
        return ["graphs.pt", "names.json"]

    @property
    def num_classes(self) -> int:
        """Number of classes, 20, or fewer if there are fewer first words."""
        return len(self.class_names)

    @property
    def feature_cardinalities(self) -> tuple[int, int, int]:
        """Numbers of node types, of node attributes and of depths."""
        return len(self.type_vocabulary), len(self.attribute_vocabulary), MAX_DEPTH + 1

    def process(self) -> None:
        """Make the cache from the source files."""
        trees_of = [read_trees(path) for path in self._files]
        trees = [tree for of_file in trees_of for tree in of_file]
        modules = [i for i, of_file in enumerate(trees_of) for _ in of_file]
        if not trees:
            raise ValueError(
                f"Expected functions in the {len(self._files)} Python files below "
                f"{str(self._source)!r} (got none). Give another folder as 'source'."
            )
        vocabulary = Vocabulary.of(trees)
        graphs = [encode_tree(tree, vocabulary) for tree in trees]
        classes = set_labels(graphs, trees, modules)
        if self.pre_filter is not None:
            graphs = [graph for graph in graphs if self.pre_filter(graph)]
        if self.pre_transform is not None:
            graphs = [self.pre_transform(graph) for graph in graphs]
        self.save(graphs, self.processed_paths[0])
        paths = [path.relative_to(self._source).with_suffix("") for path in self._files]
        content = {
            "types": list(vocabulary.types),
            "attributes": list(vocabulary.attributes),
            "classes": classes,
            "modules": [
                ".".join(path.parts).removesuffix(".__init__") for path in paths
            ],
        }
        Path(self.processed_paths[1]).write_text(json.dumps(content), "utf-8")


def set_labels(
    graphs: Iterable[Data], trees: Sequence[SyntaxTree], modules: Iterable[int]
) -> list[str]:
    """Set what graphs have beside nodes and edges; return the names of the classes."""
    names = [name_words(tree.name) for tree in trees]
    first_words = Counter(sorted(words[0] for words in names if words))
    classes = [word for word, _ in first_words.most_common(NUM_CLASSES)]
    class_of = {word: index for index, word in enumerate(classes)}
    groups: dict[object, int] = {}
    for graph, tree, words, module in zip(graphs, trees, names, modules, strict=True):
        equal = (tuple(tree.parents), graph.x.numpy().tobytes())
        graph.y = torch.tensor([class_of.get("".join(words[:1]), UNLABELLED)])
        graph.name_tokens = words
        graph.module = torch.tensor([module])
        graph.duplicate_group = torch.tensor([groups.setdefault(equal, len(groups))])
    return classes


def source_files(folder: Path) -> list[Path]:
    """List the Python files below ``folder``, without :data:`SKIPPED_FOLDERS`."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
        found.extend(Path(parent, name) for name in files if name.endswith(".py"))
    return sorted(found)


def fingerprint(folder: Path, files: Iterable[Path]) -> str:
    """Interpreter, and digest of all names and contents: ``cpython-3.11.7-5f0c..``."""
    digest = sha256()
    for path in files:
        for part in (os.fsencode(path.relative_to(folder)), path.read_bytes()):
            digest.update(sha256(part).digest())
    implementation = platform.python_implementation().lower()
    return f"{implementation}-{platform.python_version()}-{digest.hexdigest()[:12]}"
