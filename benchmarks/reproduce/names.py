"""Names as sequences of words: vocabulary, targets, F1."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from pyg_diffpool._extras import require_extra

Name = list[str]
UNKNOWN, END = "__UNK__", "__EOS__"


@dataclass(frozen=True)
class NameVocabulary:
    """The words that names can be made of; the last two are unknown and end."""

    words: list[str]

    @classmethod
    def of(cls, names: Iterable[Name], size: int = 5000) -> "NameVocabulary":
        """The most frequent words of `names`, ties in alphabetical order.

        Args:
            names: The names of training graphs, and of no others.
            size: How many words to take at most. (default: `5000`)
        """
        counts = Counter(word for name in names for word in name)
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls([*ranked[:size], UNKNOWN, END])

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        """The number of each word."""
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, names: Sequence[Name], length: int) -> Tensor:
        """The first words of each name, then ends, `[B, length]`, int64."""
        unknown, end = self.index[UNKNOWN], self.index[END]
        rows = [
            [self.index.get(word, unknown) for word in name[:length]] for name in names
        ]
        return torch.tensor([row + [end] * (length - len(row)) for row in rows])

    def decode(
        self,
        numbers: Tensor,  # [B, T]
    ) -> list[Name]:
        """The words before the first end."""
        end = self.index[END]
        rows = [
            row[: row.index(end)] if end in row else row for row in numbers.tolist()
        ]
        return [[self.words[number] for number in row] for row in rows]


def name_f1(names: Sequence[Name], predicted: Sequence[Name]) -> float:
    """ogbg-code2's F1, by the evaluator of `ogb`: over words as sets, graph by graph.

    Raises:
        MissingExtraError: If `ogb` is not installed.
    """
    require_extra("ogb")
    ogb: Any = import_module("ogb.graphproppred")
    scores = ogb.Evaluator("ogbg-code2").eval(
        {"seq_ref": list(names), "seq_pred": list(predicted)}
    )
    return float(scores["F1"])
