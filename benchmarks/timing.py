"""Timing of several functions side by side."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

Call = Callable[[], object]
Timer = Callable[[Call], float]  # seconds of one call


@dataclass(frozen=True)
class Budget:
    """How long each function may be measured.

    Attributes:
        seconds: Time for each function, warm-up apart.
        at_least: Repeats that are made however long they take.
        at_most: Repeats that are enough.
    """

    seconds: float
    at_least: int = 3
    at_most: int = 100

    def repeats(self, single: float) -> int:
        """Repeats of a function of which one takes `single` seconds."""
        wanted = int(self.seconds / max(single, 1e-9))
        return min(max(wanted, self.at_least), self.at_most)


@dataclass(frozen=True)
class Sample:
    """Median and quartiles of the repeats, in seconds."""

    median: float
    q1: float
    q3: float
    repeats: int

    @classmethod
    def of(cls, times: list[float]) -> "Sample":
        """From the single times."""
        if len(times) == 1:
            return cls(times[0], times[0], times[0], 1)
        q1, median, q3 = statistics.quantiles(times, n=4, method="inclusive")
        return cls(median, q1, q3, len(times))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def clock(call: Call) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def interleave(
    calls: Mapping[str, Call], budget: Budget, timer: Timer = clock
) -> dict[str, Sample]:
    """Time all of `calls` in turns, so that drift of the machine hits all alike.

    Each is warmed up first, twice unless one run is slow; slow ones get fewer repeats,
    spread evenly over the rounds. Every other round goes backwards, so that none always
    follows the same one.
    """
    with quiet():
        repeats = {
            name: budget.repeats(_warm_up(f, timer)) for name, f in calls.items()
        }
        times: dict[str, list[float]] = {name: [] for name in calls}
        rounds = max(repeats.values(), default=0)
        order = list(calls.items())
        for r in range(rounds):
            for name, call in order[:: 1 if r % 2 == 0 else -1]:
                n = repeats[name]
                if r * n // rounds != (r + 1) * n // rounds:
                    times[name].append(timer(call))
    return {name: Sample.of(t) for name, t in times.items()}


def ratio_in_turns(
    old: Callable[[], float], new: Callable[[], float], rounds: int
) -> str:
    """Cells of a table: milliseconds of both, in turns, and quartiles of old / new.

    `old` and `new` return the seconds that they took, or that was worth timing of them.
    """
    sides: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        for i in (0, 1) if turn % 2 == 0 else (1, 0):
            sides[i].append((old, new)[i]())
    one, other = (f"{1e3 * statistics.median(times):.3g}" for times in sides)
    ratio = Sample.of([a / b for a, b in zip(*sides, strict=True)])
    return f"{one} | {other} | {ratio.median:.3f} ({ratio.q1:.3f} to {ratio.q3:.3f})"


def _warm_up(call: Call, timer: Timer) -> float:
    first = timer(call)
    return first if first > 0.5 else min(timer(call), timer(call))


@contextmanager
def quiet() -> Iterator[None]:
    """Without pauses by the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
