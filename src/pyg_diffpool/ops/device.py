"""When values may be looked at."""

import torch
from torch import Tensor


def is_readable(like: Tensor) -> bool:
    """Whether reading a value back is free: on the CPU, outside `torch.compile`.

    On any other device the host would wait for all work that has been queued there, and
    a compiled graph would break, so code that can do without the value asks here first.
    """
    return like.device.type == "cpu" and not torch.compiler.is_compiling()
