"""Timing of several functions side by side."""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Call = Callable[[], object]
Timer = Callable[[Call], float]  # seconds of one call
Time = dict[str, Any]  # median and quartiles, in seconds, and the number of repeats


@dataclass(frozen=True)
class Budget:
    """Seconds for each function, warm-up apart, and bounds on its repeats."""

    seconds: float
    at_least: int = 3
    at_most: int = 100

    def repeats(self, single: float) -> int:
        wanted = int(self.seconds / max(single, 1e-9))
        return min(max(wanted, self.at_least), self.at_most)


def summary(times: list[float]) -> Time:
    several = times if len(times) > 1 else times * 2
    quartiles = statistics.quantiles(several, n=4, method="inclusive")
    q1, median, q3 = (round(seconds, 9) for seconds in quartiles)
    return {"median": median, "q1": q1, "q3": q3, "repeats": len(times)}


def clock(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def interleave(
    calls: Mapping[str, Call], budget: Budget, timer: Timer = clock
) -> dict[str, Time]:
    """Time all of `calls` in turns, so that drift of the machine hits all alike.

    Each is warmed up first, twice unless one run is slow; slow ones get fewer repeats,
    spread evenly over the rounds. Every other round goes backwards, so that none always
    follows the same one.
    """

    def warm_up(call: Call) -> float:
        first = timer(call)
        return first if first > 0.5 else min(timer(call), timer(call))

    with quiet():
        repeats = {name: budget.repeats(warm_up(f)) for name, f in calls.items()}
        times: dict[str, list[float]] = {name: [] for name in calls}
        rounds = max(repeats.values(), default=0)
        for r in range(rounds):
            for name in [*calls][:: 1 if r % 2 == 0 else -1]:
                n = repeats[name]
                if r * n // rounds != (r + 1) * n // rounds:
                    times[name].append(timer(calls[name]))
    return {name: summary(t) for name, t in times.items()}


@contextmanager
def quiet() -> Iterator[None]:
    """Without pauses by the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
