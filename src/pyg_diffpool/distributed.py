"""Sums over the processes of `torch.distributed`, with gradients right under DDP."""

import torch
import torch.distributed as dist
from torch import Tensor


def is_shared() -> bool:
    """Whether other processes compute parts of the same training step.

    Without gradients, as where one process evaluates alone, nobody is waited for.
    """
    return (
        dist.is_available()
        and dist.is_initialized()
        and dist.get_world_size() > 1
        and torch.is_grad_enabled()
    )


def sum_over_ranks(*values: Tensor) -> list[Tensor]:
    r"""Scalars summed over all processes in one exchange, `[]`, float64.

    The gradient of a sum in the value of this process is the number of processes R:
    DDP takes the mean over processes, which makes it the 1 of one process that has it
    all.
    """
    local = torch.stack([value.double() for value in values])
    total = local.detach().clone()
    dist.all_reduce(total)
    total = total + dist.get_world_size() * (local - local.detach())
    return list(total.unbind())


def max_over_ranks(value: Tensor) -> Tensor:
    """The largest value of any process, `[]`, without gradient."""
    top = value.detach().clone()
    dist.all_reduce(top, dist.ReduceOp.MAX)
    return top
