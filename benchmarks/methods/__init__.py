"""The pooling methods that are measured, ours and the peers'."""

from benchmarks.methods.diffpool import DIFFPOOL
from benchmarks.methods.floor import floor
from benchmarks.methods.method import Method, TrainingPass, training_pass
from benchmarks.methods.selection import SELECTION
from benchmarks.methods.soft import SOFT

METHODS: dict[str, Method] = {m.name: m for m in (*DIFFPOOL, *SOFT, *SELECTION)}

__all__ = ["METHODS", "Method", "TrainingPass", "floor", "training_pass"]
