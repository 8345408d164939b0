"""Names of functions: F1 on test graphs, the epoch chosen on validation graphs.

The sets are ogbg-code2, and PythonFunctions, the local stand-in for it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch_geometric.data import Batch, Data

from benchmarks.reproduce import published
from benchmarks.reproduce.sets import AbsentSetError, Graphs
from benchmarks.reproduce.settings import WORDS, WordSettings
from benchmarks.reproduce.table import Record, Records, Table, in_percent
from benchmarks.reproduce.training import MEASURED, TableData, fit
from pyg_diffpool import DiffPoolCode2, readout
from pyg_diffpool._extras import require_extra
from pyg_diffpool.datasets import PythonFunctions
from pyg_diffpool.train.sets import load_dataset
from pyg_diffpool.train.splits import Split, check_split

Name = list[str]
UNKNOWN, END = "__UNK__", "__EOS__"
MAX_WORDS, MAX_DEPTH = 5, 20
CODE2_SIZES = (98, 10_030, MAX_DEPTH + 1)
METHODS = ("DiffPool", "without DiffPool", "most frequent name")


class NameData(TableData):
    """Functions; targets are words of their names, out of those of training."""

    def __init__(
        self,
        graphs: Sequence[Data],
        names: Sequence[Name],
        split: Split,
        sizes_of_x: Sequence[int],
        batch_size: int,
    ) -> None:
        self.names, self.sizes_of_x = names, tuple(sizes_of_x)
        self.words = vocabulary(names[i] for i in split["train"].tolist())
        targets = encode(names, self.words, MAX_WORDS)
        for graph, y in zip(graphs, targets, strict=True):
            graph.y = y.unsqueeze(0)
        super().__init__(Graphs(graphs), batch_size)
        self.split = split

    def names_of(self, part: str) -> list[Name]:
        return [self.names[i] for i in self.split[part].tolist()]


def vocabulary(names: Iterable[Name], size: int = 5000) -> list[str]:
    """The most frequent words of names, ties in alphabetical order; unknown; end."""
    counts = Counter(word for name in names for word in name)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return [*ranked[:size], UNKNOWN, END]


def encode(names: Iterable[Name], words: Sequence[str], length: int) -> Tensor:
    """The first words of each name, then ends, `[B, length]`, int64."""
    index = {word: number for number, word in enumerate(words)}
    rows = ([*name[:length], *[END] * (length - len(name))] for name in names)
    return torch.tensor([[index.get(w, index[UNKNOWN]) for w in row] for row in rows])


def decode(
    numbers: Tensor,  # [B, T]
    words: Sequence[str],
) -> list[Name]:
    """The words before the first end."""
    rows = ([words[number] for number in row] for row in numbers.tolist())
    return [row[: row.index(END)] if END in row else row for row in rows]


def name_f1(names: Sequence[Name], predicted: Sequence[Name]) -> float:
    """ogbg-code2's F1, by `ogb`'s evaluator: over words as sets, graph by graph."""
    require_extra("ogb")
    evaluator: Any = import_module("ogb.graphproppred").Evaluator("ogbg-code2")
    return float(evaluator.eval({"seq_ref": names, "seq_pred": predicted})["F1"])


@lru_cache(maxsize=1)
def load_code2(root: Path | None, batch_size: int) -> NameData:
    """ogbg-code2 by the package `ogb`, with its split by project."""
    require_extra("ogb")
    try:
        dataset = load_dataset("ogbg-code2", None if root is None else str(root))
    except (Exception, SystemExit) as error:
        raise AbsentSetError(
            f"Expected to download 'ogbg-code2' to {root} (got {type(error).__name__}: "
            f"{error}). Unpack http://snap.stanford.edu/ogb/data/graphproppred/"
            "code2.zip there as ogbg_code2/, or say with '--data' where it is."
        ) from error
    raw = [dataset[i] for i in range(len(dataset))]
    graphs = []
    for graph in raw:
        depth = graph.node_depth.view(-1, 1).clamp(max=MAX_DEPTH)
        graphs.append(Data(torch.cat([graph.x, depth], 1), both_ways(graph)))
    split = check_split(dataset.get_idx_split(), len(raw))
    return NameData(graphs, [list(g.y) for g in raw], split, CODE2_SIZES, batch_size)


@lru_cache(maxsize=1)
def load_python_functions(root: Path | None, batch_size: int) -> NameData:
    """`PythonFunctions` with whole names, split by module.

    Every function with a name of letters or digits; no module is in two parts, and
    what is equal to a training graph is in no other part.
    """
    dataset = PythonFunctions(None if root is None else root / "PythonFunctions")
    named = [graph for graph in dataset if graph.name_tokens]
    split = split_by_module(torch.cat([graph.module for graph in named]))
    group = torch.cat([graph.duplicate_group for graph in named])
    seen = torch.isin(group, group[split["train"]])
    for part in ("val", "test"):
        split[part] = split[part][~seen[split[part]]]
    graphs = [Data(graph.x, graph.edge_index) for graph in named]
    names, sizes = [g.name_tokens for g in named], dataset.feature_cardinalities
    return NameData(graphs, names, split, sizes, batch_size)


LOADERS: dict[str, Callable[[Path | None, int], NameData]] = {
    "ogbg-code2": load_code2,
    "PythonFunctions": load_python_functions,
}


def split_by_module(
    module: Tensor,  # [B]
) -> Split:
    """Large modules first, each to the part that lacks most."""
    sizes = module.unique(return_counts=True)[1]
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(0))
    order = order[sizes[order].argsort(descending=True, stable=True)]
    lacks = torch.tensor([0.8, 0.1, 0.1], dtype=torch.double) * len(module)
    part = torch.empty_like(sizes)
    for i in order:
        part[i] = lacks.round(decimals=6).argmax()
        lacks[part[i]] -= sizes[i]
    of_graph = part[module.unique(return_inverse=True)[1]]
    parts = enumerate(("train", "val", "test"))
    return {name: (of_graph == i).nonzero().view(-1) for i, name in parts}


def both_ways(graph: Data) -> Tensor:
    """Tree edges, edges to the next token, and the inverse of both, `[2, E]`.

    Tokens are the attributed nodes in depth-first order, in which ogbg-code2 numbers
    the nodes.
    """
    order = graph.node_dfs_order.view(-1)
    token = (graph.node_is_attributed.view(-1) == 1).nonzero().view(-1)
    token = token[order[token].argsort()]
    forward = torch.cat([graph.edge_index, torch.stack([token[:-1], token[1:]])], 1)
    return torch.cat([forward, forward.flip(0)], 1)


class WordsModule(LightningModule):
    """Cross-entropy of each word, and F1 of the most likely ones."""

    def __init__(self, method: str, data: NameData, settings: WordSettings) -> None:
        super().__init__()
        self._data, self._lr = data, settings.lr
        sizes = (len(data.words), MAX_WORDS, settings.hidden, settings.clusters)
        self.net: Any = DiffPoolCode2(*(*data.sizes_of_x, *sizes))
        self._has_level = method == METHODS[0]
        if not self._has_level:
            del self.net.pool.assign, self.net.last

    def forward(self, batch: Batch) -> Tensor:
        """Logits `[B, T, vocabulary]`; without the level the sum over all nodes."""
        net, x, edges, b = self.net, batch.x, batch.edge_index, batch.num_graphs
        if self._has_level:
            return torch.as_tensor(net(x, edges, batch.batch, b).out)
        z = net.pool.embed(net.encoder(x), edges)
        read = readout(z, batch.batch, batch_size=b, reduce="sum")
        return torch.as_tensor(net.heads(read)).view(b, MAX_WORDS, -1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = cross_entropy(self(batch).flatten(0, 1), batch.y.flatten())
        on: Any = {"on_step": False, "on_epoch": True, "batch_size": batch.num_graphs}
        self.log_dict({"train/loss": loss}, **on)
        return loss

    def on_validation_epoch_start(self) -> None:
        self._predicted: list[list[Tensor]] = [[] for _ in MEASURED]

    def validation_step(
        self, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the most likely words, whose F1 is of a part as a whole."""
        self._predicted[dataloader_idx].append(self(batch).argmax(-1).cpu())

    def on_validation_epoch_end(self) -> None:
        for part, numbers in zip(MEASURED, self._predicted, strict=True):
            names = decode(torch.cat(numbers), self._data.words)
            self.log(f"{part}/f1", name_f1(self._data.names_of(part), names))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), self._lr)


class Code2(Table):
    NAME = "code2"
    METRIC = "F1, %"
    SETTINGS = WORDS
    METHODS = METHODS
    ROWS = METHODS
    FOLDS = range(3)
    PUBLISHED: ClassVar = {"DiffPool": {"ogbg-code2": 100 * published.CODE2_F1}}
    PROTOCOL = (
        "F1 over the words of the name, in percent, on the test graphs after the epoch "
        "with the best F1 on the validation graphs; mean and deviation over seeds. The "
        "published figure was chosen on test data. PythonFunctions is a local stand-in "
        "for ogbg-code2 with other, fewer functions: compare its rows with each other "
        "only."
    )

    def load(self, name: str, method: str, settings: WordSettings) -> NameData:
        return LOADERS[name](self.options.data, settings.batch_size)

    def run_fold(
        self, data: NameData, name: str, method: str, fold: int, settings: WordSettings
    ) -> Record:
        if method == METHODS[2]:
            f1 = round(most_frequent_f1(data), 6)
            return {"graphs": data.sizes(), "seconds": 0.0, "test": f1}
        torch.manual_seed(fold)
        module = WordsModule(method, data, settings)
        curves = fit(module, data, "f1", settings.epochs)
        val, test = (curves.parts[part] for part in MEASURED)
        return {
            "graphs": data.sizes(),
            "seconds": curves.seconds,
            "loss": curves.loss[-1],
            "val": [round(value, 4) for value in val],
            "test": round(test[val.index(max(val))], 6),
        }

    def summary(self, method: str, there: Records) -> dict[str, Any]:
        return in_percent([record["test"] for record in there[method].values()])


def most_frequent_f1(data: NameData) -> float:
    """F1 of the training graphs' most frequent name, said of every test graph."""
    counts = Counter(map(tuple, data.names_of("train")))
    most = max(counts.values())
    name = list(min(words for words, count in counts.items() if count == most))
    names = data.names_of("test")
    return name_f1(names, [name] * len(names))
