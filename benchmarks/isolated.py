"""Runs in a fresh process each: peak memory, time limit, out-of-memory as a value.

The processes are children of a server that has imported the libraries and done nothing
else, so that neither loading them nor earlier work counts.
"""

import ctypes
import gc
import multiprocessing
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import total_memory
from benchmarks.timing import Budget, Call, clock

OUT_OF_MEMORY = "out of memory"
NOT_INSTALLED = "not installed"
ONCE = Budget(0.0, at_least=0)
Prepare = Callable[..., Call]


@dataclass(frozen=True)
class Limits:
    """What a run may take.

    Attributes:
        seconds: Time for all its repeats.
        memory: Bytes of address space; by default nine tenths of the machine's memory.
    """

    seconds: float = 120.0
    memory: int = int(0.9 * total_memory())


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        status: `"ok"`, or why there are no figures.
        times: Seconds of the first call, which also pays for pages of memory, and of
            those after it.
        peak: Bytes above the level before the call.
    """

    status: str
    times: Sequence[float] = ()
    peak: int | None = None

    @property
    def ok(self) -> bool:
        """Whether there are figures."""
        return self.status == "ok"


def run_isolated(
    prepare: Prepare,
    arguments: Sequence[Any],
    budget: Budget = ONCE,
    threads: int = 1,
    limits: Limits | None = None,
) -> Outcome:
    """Measure the call that `prepare(*arguments)` returns: its peak, then its time.

    `prepare` is a function of a module; it makes the inputs and warms the libraries up
    on something small. The first call gives the peak, `budget` says how many follow.

    Raises:
        RuntimeError: If the call fails for any other reason than missing memory or a
            missing package.
    """
    limits = limits or Limits()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, prepare.__module__])
    receiver, sender = context.Pipe(duplex=False)
    job = (sender, prepare, arguments, budget, threads, limits.memory)
    process = context.Process(target=_child, args=job, daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(limits.seconds):
            return Outcome(f"over {limits.seconds:g} s")
        outcome: Outcome = receiver.recv()
    except EOFError:
        process.join()
        if process.exitcode == -signal.SIGKILL:  # so the system ends what is too large
            return Outcome(OUT_OF_MEMORY)
        raise RuntimeError(
            f"{prepare.__name__}{tuple(arguments)} ended with {process.exitcode}"
        ) from None
    finally:
        process.kill()
        process.join()
    if outcome.status.startswith("Traceback"):
        raise RuntimeError(f"{prepare.__name__}{tuple(arguments)}\n{outcome.status}")
    return outcome


def _child(
    sender: Connection,
    prepare: Prepare,
    arguments: Sequence[Any],
    budget: Budget,
    threads: int,
    memory: int,
) -> None:
    torch.set_num_threads(threads)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    try:
        call = prepare(*arguments)
        level = _reset_peak()
        times = [clock(call)]
        peak = _peak() - level
        times += [clock(call) for _ in range(budget.repeats(times[0]))]
        outcome = Outcome("ok", times, peak)
    except ImportError as error:
        outcome = Outcome(f"{NOT_INSTALLED}: {error.name or error}")
    except MemoryError:
        outcome = Outcome(OUT_OF_MEMORY)
    except RuntimeError as error:
        lacks = "not enough memory" in str(error) or "can't allocate" in str(error)
        outcome = Outcome(OUT_OF_MEMORY if lacks else traceback.format_exc())
    except Exception:
        outcome = Outcome(traceback.format_exc())
    sender.send(outcome)


def _reset_peak() -> int:
    """Give freed memory back and let the peak start from here, where that goes."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
