"""Work in processes of their own: a crash, or too much time or memory, is a result."""

import ctypes
import gc
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.results import Result, total_memory
from benchmarks.timing import Budget, Call, clock, summary

ONCE = Budget(0.0, at_least=0)
LACKS_MEMORY = ("not enough memory", "can't allocate", "exit status -")  # by a signal


class CrashError(RuntimeError):
    """A process that ended without an answer."""


class Worker:
    """A process that calls one function after another.

    Modules are looked for in `paths` first. One that is "spawn"ed starts from nothing;
    those of a "forkserver" have the libraries loaded when they start.
    """

    def __init__(self, start: str = "spawn", paths: Sequence[str] = ()) -> None:
        context: Any = multiprocessing.get_context(start)
        if start == "forkserver":
            context.set_forkserver_preload([__name__, "benchmarks.methods"])
        self._pipe, there = context.Pipe()
        told = there, torch.get_num_threads()
        self._process = context.Process(target=_serve, args=told, daemon=True)
        found, sys.path = sys.path, [*paths, *sys.path]  # which the process is given
        try:
            self._process.start()
        finally:
            sys.path = found
        there.close()

    def ask(
        self, function: Callable[..., Any], *given: Any, seconds: float | None = None
    ) -> Any:
        """What `function(*given)` gives, or raises, there.

        Raises:
            TimeoutError: If that takes longer.
            CrashError: If the process dies.
        """
        try:
            self._pipe.send((function, given))
            if not self._pipe.poll(seconds):
                raise TimeoutError(f"over {seconds:g} s")
            answer = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            raise CrashError(f"exit status {code}") from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End it, and the processes that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, threads: int) -> None:
    os.setsid()
    torch.set_num_threads(threads)
    with suppress(EOFError):
        while True:
            function, given = pipe.recv()
            try:
                answer = function(*given)
            except Exception as error:
                answer = error
            pipe.send(answer)


def run_isolated(
    prepare: Callable[..., Call],
    arguments: Sequence[Any] = (),
    budget: Budget = ONCE,
    seconds: float = 120.0,
    memory: int = total_memory() // 2,
) -> Result:
    """Measure the call that `prepare(*arguments)` returns: its peak, then its time.

    `prepare` makes the inputs and warms the libraries up on something small. The first
    call, which also pays for pages of memory, gives the peak above the level before it;
    `budget` says how many follow. All of it may take so many `seconds` and bytes of
    address space. Status is "ok" or why there are no figures; an error other than of
    missing memory or a missing package is raised here.
    """
    worker = Worker("forkserver")
    given = prepare, arguments, budget, memory
    try:
        return dict(worker.ask(_measure, *given, seconds=seconds))
    except ImportError as error:
        status = f"not installed: {error.name or error}"
    except TimeoutError as error:
        status = str(error)
    except (MemoryError, RuntimeError) as error:
        is_memory = any(text in str(error) for text in LACKS_MEMORY)
        if not (is_memory or isinstance(error, MemoryError)):
            raise
        status = "out of memory"
    finally:
        worker.close()
    return {"status": status, "time": None, "peak_bytes": None}


def _measure(
    prepare: Callable[..., Call], arguments: Sequence[Any], budget: Budget, memory: int
) -> Result:
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
