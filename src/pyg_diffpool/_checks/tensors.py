"""What holds for any argument: type, device, finite values, known choices."""

import os

import numpy as np
import torch
from torch import Tensor

from pyg_diffpool.ops import device


def on_request(check: bool) -> bool:
    """Whether the costly checks were asked for; compiled code is not to look."""
    if check or torch.compiler.is_compiling():
        return check
    return os.environ.get("PYG_DIFFPOOL_CHECK", "0") not in ("", "0")


def values_visible(like: Tensor, check: bool) -> bool:
    """Whether values may be looked at: on the CPU always, elsewhere on request."""
    return device.is_readable(like) or on_request(check)


def check_float(name: str, value: Tensor, dims: tuple[int, ...]) -> None:
    """A floating-point tensor of one of the given numbers of dimensions."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"Expected '{name}' to be a torch.Tensor (got {type(value).__name__})."
        )
    if not value.is_floating_point():
        raise TypeError(
            f"Expected '{name}' to be floating-point (got {value.dtype}). "
            f"Embed or cast it first, e.g. '{name}.float()'."
        )
    if value.dim() not in dims:
        wanted = " or ".join(map(str, dims))
        raise ValueError(
            f"Expected '{name}' to have {wanted} dimensions (got "
            f"{value.dim()}: {list(value.shape)})."
        )


def check_integer(name: str, value: object) -> None:
    """An integer, or nothing."""
    kinds = (int, np.integer, torch.SymInt)  # no union, which old compilers stop at
    whole = isinstance(value, kinds)
    if value is not None and (isinstance(value, bool) or not whole):
        raise TypeError(
            f"Expected '{name}' to be an int (got {value!r} of type "
            f"{type(value).__name__})."
        )


def check_same_device(**tensors: Tensor | None) -> None:
    """All tensors, and on one device."""
    for name, value in tensors.items():
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"Expected '{name}' to be a torch.Tensor (got {type(value).__name__})."
            )
    devices = {name: t.device for name, t in tensors.items() if t is not None}
    if len(set(devices.values())) > 1:
        listed = ", ".join(f"'{name}' on {device}" for name, device in devices.items())
        raise ValueError(
            f"Expected all tensors on one device (got {listed}). "
            "Move them with '.to(device)'."
        )


def check_same_dtype(**tensors: Tensor | None) -> None:
    """All of one floating-point dtype; autocast mixes them on purpose and may."""
    floats = {
        name: t
        for name, t in tensors.items()
        if t is not None and t.is_floating_point()
    }
    dtypes = {name: t.dtype for name, t in floats.items()}
    devices = {t.device.type for t in floats.values()}
    mixes = any(map(torch.is_autocast_enabled, devices))
    if len(set(dtypes.values())) > 1 and not mixes:
        listed = ", ".join(f"'{name}' is {dtype}" for name, dtype in dtypes.items())
        raise TypeError(
            f"Expected tensors of one dtype (got {listed}). "
            "Cast them with '.to(dtype)'."
        )


def check_finite(**tensors: Tensor | None) -> None:
    """No NaN, no infinity."""
    for name, value in tensors.items():
        if value is None or not value.is_floating_point():
            continue
        bad = ~value.isfinite()
        if bool(bad.any()):
            position = [int(i) for i in bad.nonzero()[0]]
            raise ValueError(
                f"Expected '{name}' to be finite (got {float(value[bad][0])} at "
                f"{position}, {int(bad.sum())} in all). Likely causes: too large a "
                "learning rate, a division by zero in the features, overflow in "
                "half precision."
            )


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """One of a few values."""
    if not any(value is c or value == c for c in choices):
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"Expected '{name}' to be one of {listed} (got {value!r}).")


def check_unused(beside: str, **arguments: object) -> None:
    """Arguments that mean nothing for this form of input."""
    for name, value in arguments.items():
        if value is not None:
            raise ValueError(
                f"Expected no '{name}' beside {beside} (got {type(value).__name__}): "
                "it belongs to the other form of input."
            )
