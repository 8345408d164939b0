"""What a method is, and one forward and backward pass of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Linear

from benchmarks.batches import PoolingBatch

Forward = Callable[[], Sequence[Tensor]]
Make = Callable[[PoolingBatch], Forward]


@dataclass(frozen=True)
class Method:
    """A way from the loader's mini-batch to the pooled graph.

    Attributes:
        name: Short, unique.
        computes: One line on what comes out.
        make: Builds the forward pass for a mini-batch whose features and logits
            collect gradients; an `ImportError` says what is not installed.
        with_layer: Whether the linear layer that makes the logits from the features
            is part of the work.
        ours: Whether it is this package.
    """

    name: str
    computes: str
    make: Make
    with_layer: bool = False
    ours: bool = False


class TrainingPass:
    """A forward and a backward pass from random gradients of all outputs."""

    def __init__(self, forward: Forward, leaves: PoolingBatch) -> None:
        self.forward, self.leaves = forward, leaves
        self._gradients: list[Tensor] = []

    def __call__(self) -> Sequence[Tensor]:
        """Run; gradients are then in the leaves."""
        self.leaves.x.grad = self.leaves.s.grad = None
        outputs = self.forward()
        differentiable = [out for out in outputs if out.requires_grad]
        torch.autograd.backward(differentiable, self._seeded(differentiable))
        return outputs

    def _seeded(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Made once, since methods give the same shapes in every run."""
        shapes = [gradient.shape for gradient in self._gradients]
        if shapes != [out.shape for out in outputs]:
            random = torch.Generator().manual_seed(1)
            self._gradients = [
                torch.randn(out.shape, generator=random) for out in outputs
            ]
        return self._gradients


def training_pass(method: Method, batch: PoolingBatch) -> TrainingPass:
    """`method` ready to run on `batch`."""
    leaves = batch.leaves()
    return TrainingPass(method.make(leaves), leaves)


def assignment_layer(batch: PoolingBatch) -> Linear:
    """The linear layer from features to logits, the same for all methods."""
    layer = Linear(batch.x.size(1), batch.num_clusters)
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random) / 8)
    return layer
