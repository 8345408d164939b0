"""What a module's forward takes, and which layers are in it."""

from collections.abc import Iterator
from functools import lru_cache
from inspect import Parameter, ismethod, signature
from typing import Any, NamedTuple

from torch.nn import Module
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.models.basic_gnn import BasicGNN


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


def hands_edges_on(module: Module) -> bool:
    """Whether `edge_index` reaches the layers as given: in layers and PyG's models."""
    return (
        isinstance(module, MessagePassing) or type(module).forward is BasicGNN.forward
    )


def signature_of(module: Module) -> Signature:
    """Of `module.forward`; PyG's `Sequential` declares its own."""
    compiled = module._modules.get("_orig_mod")
    if compiled is not None:
        return signature_of(compiled)
    declared = getattr(getattr(module, "signature", None), "param_dict", None)
    if declared is not None:
        names = tuple(declared)
        return Signature(names, frozenset(names[1:]), False)
    method = module.forward
    return _signature(getattr(method, "__func__", method), ismethod(method))


@lru_cache(maxsize=256)
def _signature(forward: Any, is_method: bool) -> Signature:
    parameters = list(signature(forward).parameters.values())[is_method:]
    variadic = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    named = [p for p in parameters if p.kind not in variadic]
    return Signature(
        tuple(p.name for p in named),
        frozenset(p.name for p in named[1:] if p.default is p.empty),
        any(p.kind is Parameter.VAR_POSITIONAL for p in parameters),
    )
