"""The pooling methods that are measured, ours and the peers'."""

from benchmarks.batches import small_batch
from benchmarks.methods.diffpool import DIFFPOOL
from benchmarks.methods.floor import floor
from benchmarks.methods.method import Method, TrainingPass, training_pass
from benchmarks.methods.selection import SELECTION
from benchmarks.methods.soft import SOFT

METHODS: dict[str, Method] = {m.name: m for m in (*DIFFPOOL, *SOFT, *SELECTION)}


def warm_up(name: str) -> None:
    """Load what the method uses, by a pass over a small mini-batch.

    Both of our backends run too, as `auto` may take another one on a small mini-batch.
    """
    for each in {"sparse", "padded", name}:
        training_pass(METHODS[each], small_batch())()


__all__ = ["METHODS", "Method", "TrainingPass", "floor", "training_pass", "warm_up"]
