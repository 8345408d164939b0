"""Batch norm over the rows of padded blocks that are nodes, in few launches.

For devices whose values are not read: where they are, padding is dropped instead.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.nn import BatchNorm1d

from pyg_diffpool import _engine
from pyg_diffpool._minibatch import PaddedGraph
from pyg_diffpool._modes import (
    Gradients,
    Operation,
    Saved,
    is_in_the_open,
    may_launch,
    operation,
    without_autocast,
)


def batch_norm(norm: BatchNorm1d, graph: PaddedGraph, x: Tensor) -> Tensor:
    """What the norm, in training, makes of the nodes among all rows of blocks, for all.

    One node by itself is normalised by the running statistics, as in PyG's
    `BatchNorm(allow_single_element=True)`.
    """
    own: Any = norm
    running_mean, running_var = own.running_mean, own.running_var
    weight, bias = own.weight, own.bias
    if not norm.affine:
        weight, bias = torch.ones_like(running_var), torch.zeros_like(running_mean)
    share, several, unbiased = graph.row_shares
    if _goes_to_kernels(x, weight, bias, share, running_mean, running_var):
        buffers = running_mean, running_var, own.num_batches_tracked
        single = (torch.where(several, 0.0, moment) for moment in buffers[:2])
        rest = several, unbiased, buffers, norm.momentum, norm.eps
        scaled: Tensor = _norm_by_kernels(x, weight, bias, share, *single, *rest)[0]
        for buffer in buffers:  # which autograd has not seen to change
            if not buffer.is_inference():
                increment_version(buffer)
        return scaled
    with without_autocast(x.device.type):
        wide = x.to(torch.promote_types(x.dtype, torch.float))
        moments = (moment.to(wide.dtype) for moment in (running_mean, running_var))
        single = (torch.where(several, 0.0, moment) for moment in moments)
        given = *(t.to(wide.dtype) for t in (weight, bias, share)), *single
        out, mean, var = _norm_of_nodes(wide, *given, norm.eps)
        running_mean.lerp_(mean.detach().to(running_mean.dtype), norm.momentum)
        var = (var.detach() * unbiased).to(running_var.dtype)
        running_var.lerp_(var, norm.momentum)
        own.num_batches_tracked.add_(several)
    scaled = out.to(x.dtype)
    return scaled


def _goes_to_kernels(x: Tensor, *others: Tensor) -> bool:
    """All in float32, of a row each, in eager code, on a device with kernels."""
    fits = all(t.dtype == torch.float for t in (x, *others)) and is_in_the_open(x)
    fits = fits and all(t.is_contiguous() for t in others)
    return fits and may_launch(x) and _engine.runs_on(x)


class _NormOfNodes(Operation):
    r""":math:`w \hat{x}_i + b` with :math:`\hat{x}_i = (x_i - \mu) / \sigma`; moments.

    These are of nodes, with shares :math:`r_i` of 1 over their number, or 0 for padding
    and for a single node, for which the running ones stand in. The gradient is

    .. math:: \frac{w}{\sigma} \Big(d_i
        - r_i \textstyle\sum_j d_j - r_i \hat{x}_i \sum_j d_j \hat{x}_j \Big)
    """

    results = 3
    keeps = 3, 4

    @staticmethod
    def forward(
        x: Tensor,  # [R, C]
        weight: Tensor,  # [C]
        bias: Tensor,  # [C]
        share: Tensor,  # [R]
        single_mean: Tensor,  # [C], 0 where there are several nodes
        single_var: Tensor,  # [C]
        eps: float,
    ) -> tuple[Tensor, ...]:
        r"""The results, and for gradients :math:`\hat{x}` and :math:`1 / \sigma`."""
        mean = single_mean.addmv(x.t(), share)
        rest = x - mean
        var = single_var.addmv(rest.square().t(), share)
        scale = (var + eps).rsqrt()
        rest = rest * scale
        return torch.addcmul(bias, rest, weight), mean, var, rest, scale

    @staticmethod
    def plain(*inputs: Any) -> tuple[Tensor, ...]:
        return _NormOfNodes.forward(*inputs)[:3]

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        (_, weight, _, share, *_), (rest, scale), _, (grad, *_) = saved
        assert grad is not None
        total, along = grad.sum(0), (grad * rest).sum(0)
        mean = torch.addcmul(total, rest, along)
        out = torch.addcmul(grad, share.unsqueeze(1), mean, value=-1)
        return out * (weight * scale), along, total


_norm_of_nodes = operation(_NormOfNodes)


class _NormByKernels(Operation):
    """The same by two kernels, of which the first keeps up the running moments."""

    keeps = 1, 2

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        # The running moments in a tuple, as none that gradients want.
        *given, _, _, several, unbiased, buffers, momentum, eps = inputs
        rest = *buffers, several, unbiased
        kernels = _engine.kernels("_triton_norm")
        return tuple(kernels.norm(*given, *rest, momentum=momentum, eps=eps))

    @staticmethod
    def plain(*inputs: Any) -> tuple[Tensor, ...]:
        given: Any = *inputs[:6], inputs[-1]
        return _NormOfNodes.forward(*given)[:1]

    @staticmethod
    def gradients(saved: Saved) -> Gradients:
        (_, weight, _, share, *_), kept, _, (grad,) = saved
        given = grad, weight, share, *kept
        return tuple(_engine.kernels("_triton_norm").norm_gradients(*given))


_norm_by_kernels = operation(_NormByKernels)
