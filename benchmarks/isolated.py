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
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from benchmarks.results import Result, total_memory
from benchmarks.timing import Budget, Call, clock, summary

ONCE = Budget(0.0, at_least=0)


def run_isolated(
    prepare: Callable[..., Call],
    arguments: Sequence[Any] = (),
    budget: Budget = ONCE,
    seconds: float = 120.0,
    memory: int = total_memory() // 2,
) -> Result:
    """Measure the call that `prepare(*arguments)` returns: its peak, then its time.

    `prepare` is a function of a module; it makes the inputs and warms the libraries up
    on something small. The first call, which also pays for pages of memory, gives the
    peak above the level before it; `budget` says how many follow. All of it may take so
    many `seconds` and bytes of address space. Status is "ok" or why there are no
    figures; an error other than of missing memory or a missing package is raised here.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, prepare.__module__])
    limits = (torch.get_num_threads(), seconds, memory)
    start = monotonic()
    try:
        with ProcessPoolExecutor(1, context) as pool:
            return pool.submit(_measure, prepare, arguments, budget, *limits).result()
    except ImportError as error:
        status = f"not installed: {error.name or error}"
    except (BrokenProcessPool, MemoryError, RuntimeError) as error:
        lacks = "not enough memory" in str(error) or "can't allocate" in str(error)
        if not (lacks or isinstance(error, (BrokenProcessPool, MemoryError))):
            raise
        late = monotonic() - start >= seconds
        status = f"over {seconds:g} s" if late else "out of memory"
    return {"status": status, "time": None, "peak_bytes": None}


def _measure(
    prepare: Callable[..., Call],
    arguments: Sequence[Any],
    budget: Budget,
    threads: int,
    seconds: float,
    memory: int,
) -> Result:
    signal.setitimer(signal.ITIMER_REAL, seconds)  # its signal ends the process
    torch.set_num_threads(threads)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    call = prepare(*arguments)
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # gives freed memory back
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    level = _peak()
    first = clock(call)
    peak = _peak() - level
    times = [clock(call) for _ in range(budget.repeats(first))]
    time = summary(times) if times else None
    return {"status": "ok", "time": time, "peak_bytes": peak}


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
