"""How many bytes a step of the operator must move, and how many its kernels do.

Counted is what goes between the chip and its memory: what a kernel reads again, rows
that edges gather and those of a chunk, comes from the cache after the first time. What
atomic additions sum up in memory is read and written once for each of its chunks. The
graph is sorted already, as for a level whose layers made it.
"""

LENGTH = 256  # rows of a chunk that is summed up, as `_triton_level` has it


def least(b: int, n: int, e: int, k: int, c: int, itemsize: int) -> int:
    """Inputs, outputs and what is saved, each once forward and once backward.

    Edges are two int64 and a float32, X', A' and G float32, as are Y and W, of the
    shape of S, which are saved.
    """
    rows, pooled = itemsize * n * (c + k), 4 * b * k * (c + 2 * k)
    saved = n * k * (itemsize + 8)
    forward = rows + 20 * e + pooled + saved
    backward = itemsize * n * c + saved + pooled + rows
    return forward + backward


def moved(b: int, n: int, e: int, k: int, c: int, itemsize: int) -> int:
    """The same by the kernels' own arithmetic."""
    s, wide, pooled = itemsize * n * k, 4 * n * k, 4 * b * k * (c + 2 * k)
    chunks = n // LENGTH + b
    softmax = 2 * s + 2 * wide + pooled
    edges = 20 * e + s + 4 * wide
    contract = s + itemsize * n * c + wide
    contract += 2 * chunks * 4 * k * (c + 2 * k)
    terms = 4 * b * k * (k + 1)
    gradient = 2 * wide + 2 * s + 2 * itemsize * n * c + pooled
    return softmax + edges + contract + terms + gradient
