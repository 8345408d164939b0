"""Batch norm over rows of which some are padding on CUDA, in one launch each way."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from pyg_diffpool._triton import _entries
from pyg_diffpool._triton_launch import cdiv, launcher

TILE = {"ROWS": 256, "C": 16, "num_warps": 8}  # channels of a program, rows at once


@triton.jit(do_not_specialize=["rows"])
def _norm_kernel(
    x, weight, bias, share, running_mean, running_var, batches, several, unbiased,
    out, rest, scale, rows, channels, momentum, eps,
    ROWS: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Rows by the moments of nodes, or for a single one by the running moments."""
    j, r = tl.program_id(0) * C + tl.arange(0, C), tl.arange(0, ROWS).to(tl.int64)
    inside, is_new = j < channels, tl.load(several) != 0
    old_mean = tl.load(running_mean + j, mask=inside, other=0.0)
    old_var = tl.load(running_var + j, mask=inside, other=1.0)
    total = tl.zeros([ROWS, C], tl.float32)
    for start in range(0, rows, ROWS):
        i = start + r
        part = tl.load(share + i, mask=i < rows, other=0.0)[:, None]
        total += part * _entries(x, i, j, i < rows, inside, channels, 1)
    mean = tl.where(is_new, tl.sum(total, 0), old_mean)
    total = tl.zeros([ROWS, C], tl.float32)
    for start in range(0, rows, ROWS):
        i = start + r
        part = tl.load(share + i, mask=i < rows, other=0.0)[:, None]
        away = _entries(x, i, j, i < rows, inside, channels, 1) - mean[None, :]
        total += part * away * away
    var = tl.where(is_new, tl.sum(total, 0), old_var)
    by = 1 / tl.sqrt(var + eps)
    tl.store(scale + j, by, mask=inside)
    w = tl.load(weight + j, mask=inside, other=0.0)[None, :]
    b = tl.load(bias + j, mask=inside, other=0.0)[None, :]
    for start in range(0, rows, ROWS):
        i = start + r
        at = i[:, None] * channels + j[None, :]
        there = (i < rows)[:, None] & inside[None, :]
        found = (tl.load(x + at, mask=there, other=0.0) - mean[None, :]) * by[None, :]
        tl.store(rest + at, found, mask=there)
        tl.store(out + at, found * w + b, mask=there)
    var *= tl.load(unbiased)
    new_mean = old_mean + momentum * (mean - old_mean)
    tl.store(running_mean + j, new_mean, mask=inside)
    tl.store(running_var + j, old_var + momentum * (var - old_var), mask=inside)
    if tl.program_id(0) == 0:
        tl.store(batches, tl.load(batches) + is_new.to(tl.int64))


@triton.jit(do_not_specialize=["rows"])
def _norm_gradient_kernel(
    grad, weight, share, rest, scale, out, along, total, rows, channels,
    ROWS: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """The gradients of rows, of the weight and of the bias."""
    j, r = tl.program_id(0) * C + tl.arange(0, C), tl.arange(0, ROWS).to(tl.int64)
    inside = j < channels
    of_weight = tl.zeros([ROWS, C], tl.float32)
    of_bias = tl.zeros([ROWS, C], tl.float32)
    for start in range(0, rows, ROWS):
        i = start + r
        d = _entries(grad, i, j, i < rows, inside, channels, 1)
        of_weight += d * _entries(rest, i, j, i < rows, inside, channels, 1)
        of_bias += d
    d_weight, d_bias = tl.sum(of_weight, 0), tl.sum(of_bias, 0)
    tl.store(along + j, d_weight, mask=inside)
    tl.store(total + j, d_bias, mask=inside)
    w = tl.load(weight + j, mask=inside, other=0.0)
    w *= tl.load(scale + j, mask=inside, other=0.0)
    for start in range(0, rows, ROWS):
        i = start + r
        at = i[:, None] * channels + j[None, :]
        there = (i < rows)[:, None] & inside[None, :]
        part = tl.load(share + i, mask=i < rows, other=0.0)[:, None]
        found = tl.load(rest + at, mask=there, other=0.0)
        mean = part * (d_bias[None, :] + found * d_weight[None, :])
        d = tl.load(grad + at, mask=there, other=0.0)
        tl.store(out + at, (d - mean) * w[None, :], mask=there)


def norm(x: Tensor, *given: Tensor, momentum: float, eps: float) -> tuple[Tensor, ...]:
    """Rows that are normalised, the same before weight and bias, and their scale.

    Given are `[C]` weight and bias, the share `[R]` of each row, `[C]` running mean and
    variance and the number of mini-batches, which are kept up, whether there are
    several nodes, and by what their variance is made unbiased.
    """
    (r, c), x = x.shape, x.contiguous()
    out, rest, scale = torch.empty_like(x), torch.empty_like(x), x.new_empty(c)
    launch = launcher(("norm", x.device, c), (x, *given), (r,))
    with torch.cuda.device_of(x):
        made = out, rest, scale, r, c, float(momentum), float(eps)
        launch(_norm_kernel, (cdiv(c, TILE["C"]),), x, *given, *made, **TILE)
    return out, rest, scale


def norm_gradients(grad: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
    """Those of rows, weight and bias; given the weight, share, rest and scale."""
    (r, c), grad = grad.shape, grad.contiguous()
    out, along, total = torch.empty_like(grad), grad.new_empty(c), grad.new_empty(c)
    launch = launcher(("norm gradient", grad.device, c), (grad, *given), (r,))
    with torch.cuda.device_of(grad):
        rest = *given, out, along, total, r, c
        launch(_norm_gradient_kernel, (cdiv(c, TILE["C"]),), grad, *rest, **TILE)
    return out, along, total
