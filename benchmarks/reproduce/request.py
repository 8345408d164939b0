"""What a call asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """What to run, and where things are.

    Attributes:
        data: Folder of the TU sets, or of ogbg-code2; `None` downloads.
        splits: Folder of the published folds.
        results: Folder of the records of this table.
        sets: Data sets.
        methods: Methods.
        folds: Folds to run; others are not touched.
        epochs: In place of each set's own; for a trial run.
    """

    data: Path | None
    splits: Path | None
    results: Path
    sets: Sequence[str]
    methods: Sequence[str]
    folds: Sequence[int]
    epochs: int | None = None
