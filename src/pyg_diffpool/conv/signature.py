"""What a module's forward takes, and which layers are in it."""

import inspect
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from torch.nn import Module
from torch_geometric.nn import MessagePassing


class Signature(NamedTuple):
    """The arguments of a forward, of which the first are the node features."""

    names: tuple[str, ...]
    required: frozenset[str]  # without the first
    takes_any: bool  # whether there is a `*args`


def layers_of(module: Module) -> Iterator[MessagePassing]:
    """All `MessagePassing` layers in `module`; faster than by `modules()`."""
    if isinstance(module, MessagePassing):
        yield module
    for child in module._modules.values():
        if child is not None:
            yield from layers_of(child)


def signature_of(module: Module) -> Signature:
    """Of `module.forward`; PyG's `Sequential` declares its own."""
    compiled = module._modules.get("_orig_mod")
    if compiled is not None:
        return signature_of(compiled)
    declared = getattr(getattr(module, "signature", None), "param_dict", None)
    if declared is not None:
        names = tuple(declared)
        return Signature(names, frozenset(names[1:]), False)
    return _signature(getattr(module.forward, "__func__", module.forward))


@lru_cache(maxsize=256)
def _signature(forward: Any) -> Signature:
    parameters = list(inspect.signature(forward).parameters.values())
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = [p for p in parameters if p.kind not in variadic and p.name != "self"]
    return Signature(
        tuple(p.name for p in named),
        frozenset(p.name for p in named[1:] if p.default is p.empty),
        any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters),
    )
