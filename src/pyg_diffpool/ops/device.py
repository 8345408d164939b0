"""When values may be looked at."""

from torch import Tensor


def is_readable(like: Tensor) -> bool:
    """Whether reading a value back is free: on the CPU.

    On any other device the host would wait for all work that has been queued there, so
    code that can do without the value asks here first.
    """
    return like.device.type == "cpu"
