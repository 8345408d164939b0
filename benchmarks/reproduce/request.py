"""What a call asks for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.reproduce.records import read_record, record_path, recorded
from benchmarks.reproduce.settings import Training, WordSettings

S = TypeVar("S", Training, WordSettings)


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
        changes: Settings in place of each set's own, by name.
        recorded_only: Whether the table leaves out rows of which no fold was run.
    """

    data: Path | None
    splits: Path | None
    results: Path
    sets: Sequence[str]
    methods: Sequence[str]
    folds: Sequence[int]
    changes: Mapping[str, Any] = field(default_factory=dict)
    recorded_only: bool = False

    def rows(self) -> Iterator[tuple[str, str]]:
        """Set and method of each row of the table."""
        there = recorded(self.results) if self.recorded_only else None
        for name in self.sets:
            for method in self.methods:
                if there is None or method in there.get(name, ()):
                    yield name, method

    def open_folds(self, name: str, settings: object) -> list[tuple[str, int]]:
        """Method and fold of what has no record on a set yet.

        Raises:
            ValueError: If a record was made with other settings.
        """
        return [
            (method, fold)
            for method in self.methods
            for fold in self.folds
            if not read_record(record_path(self.results, name, method, fold), settings)
        ]

    def changed(self, settings: S) -> S:
        """The settings with the changes.

        Raises:
            ValueError: If there is no such setting.
        """
        known = [f.name for f in fields(settings)]
        for name in self.changes:
            if name not in known:
                raise ValueError(
                    f"Expected '--with' settings of {', '.join(known)} (got '{name}')."
                )
        return replace(settings, **self.changes)
