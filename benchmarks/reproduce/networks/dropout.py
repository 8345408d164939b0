"""Dropout with cheap random numbers."""

import math

import torch
from torch import Tensor
from torch.nn import Dropout, Module


class ByteDropout(Module):
    """Dropout that draws one byte for each entry.

    On a CPU `torch.nn.Dropout` draws one number of its generator for each entry, which
    was 15 to 24 % of a training step; here eight entries share one. The probability is
    rounded to 1/256.

    Args:
        p: Probability that an entry becomes 0.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.limit = round(256 * p)

    def forward(self, x: Tensor) -> Tensor:
        """`x` with some entries 0 and the others scaled up."""
        if not (self.training and self.limit):
            return x
        if self.limit == 256:
            return torch.zeros_like(x)
        words = torch.empty(math.ceil(x.numel() / 8), dtype=torch.long)
        drawn = (
            words.random_(-(2**63), None).view(torch.uint8)[: x.numel()].view(x.shape)
        )
        return x * (drawn >= self.limit) * (256 / (256 - self.limit))


def replace_dropout(network: Module) -> None:
    """Put `ByteDropout` in place of every `Dropout`."""
    for name, child in network.named_children():
        if type(child) is Dropout:
            setattr(network, name, ByteDropout(child.p))
        else:
            replace_dropout(child)
