"""A model run with its layers bound to a graph.

For the length of the call a view stands in for the model: its containers are shallow
copies, every `MessagePassing` layer is a `BoundLayer`, and parameters, norms and all
else are the very same objects. Of the user's model nothing is changed but what its own
forward sets.
"""

from types import MethodType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import MessagePassing

from pyg_diffpool.conv.bound import Binding, BoundLayer

_OF_TORCH = frozenset(vars(Module()))
_ABSENT = object()
_CALLS = ("forward", "__call__", "_wrapped_call_impl")  # what a call goes through
_MANY = 1000  # entries: longer lists hold data rather than layers


class _Copy(NamedTuple):
    """A container and its shallow copy."""

    module: Module
    view: Any


def _run_view(
    module: Module, binding: Binding, x: Tensor, arguments: dict[str, Any]
) -> Any:
    views: dict[int, Any] = {}
    copies: list[_Copy] = []
    view = _view(module, binding, views, copies)
    before = [_redirect(copy, views) for copy in copies]
    out = view(x, binding.edge_index, **arguments)
    _write_back(copies, before, views)
    return out


# `torch.compile` cannot trace the making of a view: GNNs run as without it.
run_view = torch.compiler.disable(_run_view)


def _view(
    module: Module, binding: Binding, views: dict[int, Any], copies: list[_Copy]
) -> Any:
    """`module`, or what stands in for it if there are layers in it."""
    if id(module) not in views:
        views[id(module)] = _new_view(module, binding, views, copies)
    return views[id(module)]


def _new_view(
    module: Module, binding: Binding, views: dict[int, Any], copies: list[_Copy]
) -> Any:
    compiled = module._modules.get("_orig_mod")
    if compiled is not None:  # the result of `torch.compile` calls layers past a view
        view = _view(compiled, binding, views, copies)
        return module if view is compiled else view
    if isinstance(module, MessagePassing):
        return BoundLayer(module, binding)
    children = {
        name: None if child is None else _view(child, binding, views, copies)
        for name, child in module._modules.items()
    }
    if all(view is module._modules[name] for name, view in children.items()):
        return module
    # Not `copy.copy`: PyG's `Sequential` would write its forward anew each time.
    out = object.__new__(type(module))
    vars(out).update(vars(module), _modules=children)
    copies.append(_Copy(module, out))
    return out


def _write_back(
    copies: list[_Copy], before: list[dict[str, Any]], views: dict[int, Any]
) -> None:
    """Set what the forward has set, with the model's own modules."""
    bound = (view for view in views.values() if type(view) is BoundLayer)
    own = {id(view): view.conv for view in bound}
    own |= {id(copy.view): copy.module for copy in copies}
    for (module, view), old in zip(copies, before, strict=True):
        for name, value in vars(view).items():
            if old.get(name, _ABSENT) is not value:
                vars(module)[name] = _redirected(value, own)


def _redirect(copy: _Copy, views: dict[int, Any]) -> dict[str, Any]:
    """Let attributes that hold modules or their methods hold those of the views.

    Returns:
        The attributes that the copy starts with.
    """
    own = vars(copy.view)
    for name, value in vars(copy.module).items():
        if name not in _OF_TORCH:
            own[name] = _redirected(value, views)
    return dict(own)


def _redirected(value: Any, views: dict[int, Any], depth: int = 2) -> Any:
    if id(value) in views:
        return views[id(value)]
    if isinstance(value, MethodType):
        view = views.get(id(value.__self__), value.__self__)
        if view is value.__self__:
            return value
        if BoundLayer not in (type(view), type(value.__self__)):
            return MethodType(value.__func__, view)
        name = value.__name__
        return view.forward if name in _CALLS else getattr(view, name)
    kind = type(value)
    if kind not in (list, tuple, dict) or len(value) > _MANY or not depth:
        return value
    before = [*value.values()] if kind is dict else value
    items = [_redirected(item, views, depth - 1) for item in before]
    if all(item is old for item, old in zip(items, before, strict=True)):
        return value
    return dict(zip(value, items, strict=True)) if kind is dict else kind(items)
