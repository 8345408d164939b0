"""What all benchmarks are told."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        root: Folder of the TU sets.
        threads: Threads of each operation.
        quick: Fewer sets, sizes and repeats.
        sets: The data sets to measure on; none stands for all.
    """

    root: Path
    threads: int = 1
    quick: bool = False
    sets: Sequence[str] = ()

    def wants(self, dataset: str, quick: Sequence[str]) -> bool:
        """Whether to measure on `dataset`, with the sets of a quick run at hand."""
        chosen = self.sets or (quick if self.quick else [dataset])
        return dataset in chosen
