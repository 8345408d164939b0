"""In which mode of torch code runs, and operations that are right in each of them.

Eager code takes kernels and gradients by hand. To `torch.compile`, `torch.export` and
on the `meta` device an operation is opaque, so that its kernel may look at values.
Where gradients are differentiated, batched or transformed (`torch.func`, forward mode),
the textbook formula in torch's own operations takes their place.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.library import Library, register_autograd, register_fake
from torch.nn import Parameter

Gradients = Sequence[Tensor | None]
KERNEL_DEVICES = {"cuda"}  # for which there are kernels, see `_engine`
_LIBRARY = Library("pyg_diffpool", "DEF")


def may_read_values(like: Tensor) -> bool:
    """Whether reading a value back is free: on the CPU, outside `torch.compile`.

    Elsewhere the host would wait for the device, or a compiled graph break.
    """
    readable = like.device.type == "cpu" and not torch.compiler.is_compiling()
    return readable and not is_transformed()


def may_read_indices(index: Tensor) -> bool:
    """The same for indices, which transforms leave as they are."""
    if not is_transformed():
        return may_read_values(index)
    is_batched = torch._C._functorch.is_batchedtensor(index)
    return index.device.type == "cpu" and not is_batched


def may_check_values(like: Tensor, check: bool = False) -> bool:
    """Whether input may be looked at: where that is free, elsewhere on request."""
    return may_read_values(like) or asks_for_checks(like, check)


def asks_for_checks(like: Tensor, check: bool) -> bool:
    """Whether the costly checks were asked for; compiled code is not to look."""
    if like.is_meta:  # which has no values
        return False
    if check or torch.compiler.is_compiling():
        return check
    return os.environ.get("PYG_DIFFPOOL_CHECK", "0") not in ("", "0")


def is_transformed() -> bool:
    """Within `torch.func` or forward-mode differentiation."""
    return not torch.compiler.is_compiling() and (
        torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
    )


def is_autocast(device: str) -> bool:
    """Whether `torch.autocast` is on, which some devices do not know."""
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def without_autocast(device: str) -> AbstractContextManager[Any]:
    """A block in which autocast, if there is any, is off."""
    if is_autocast(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


def needs_gradient(*values: Any) -> bool:
    """Whether a result of these is to be differentiated."""
    tensors = (v for v in values if isinstance(v, Tensor))
    return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def may_launch(like: Tensor) -> bool:
    """Whether kernels of this package may run on the tensor's device.

    Not within transforms, which wrap new tensors so that they have no memory.
    """
    return like.device.type in KERNEL_DEVICES and not is_transformed()


def takes_kernels(*values: Any) -> bool:
    """Whether nobody differentiates, transforms or compiles what is done with these."""
    is_eager = not torch.compiler.is_compiling() and not is_transformed()
    return is_eager and not needs_gradient(*values)


def kernel(schema: str, fake: Callable[..., Any]) -> Callable[..., Any]:
    """An operation without gradient; `fake` gives results of the right shape."""
    name = schema.partition("(")[0]
    _LIBRARY.define(schema)

    def register(function: Callable[..., Any]) -> Any:
        opaque = _register(name, function, fake)

        def call(*args: Any) -> Any:
            return (function if is_in_the_open(args[0]) else opaque)(*args)

        return call

    return register


class Saved(NamedTuple):
    """What gradients are made of."""

    inputs: Sequence[Any]
    outputs: Sequence[Tensor]  # those that the operation keeps
    needs: Sequence[bool]  # for each input
    grads: Gradients  # for each result


class Operation:
    """An operation with its gradients, made callable by `operation`.

    Attributes:
        schema: As torch wants it; `None` leaves compilers and `meta` the plain formula.
        results: How many outputs are results.
        keeps: Which outputs the gradients want.
        forward: The results, and what else the gradients want.
        fake: Outputs of the shapes of `forward`.
        plain: The results by differentiable operations of torch.
        gradients: Those of the first inputs, where they are needed, from a `Saved`.
    """

    schema: str | None = None
    results = 1
    keeps: tuple[int, ...] = ()
    forward: ClassVar[Callable[..., Any]]
    fake: ClassVar[Callable[..., Any]]
    plain: ClassVar[Callable[..., Any]]
    gradients: ClassVar[Callable[..., Gradients]]

    @classmethod
    def setup_context(cls, ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what the gradients want."""
        outputs = output if isinstance(output, tuple) else (output,)
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*outputs[cls.results :])
        tensors = [i if isinstance(i, Tensor) else None for i in inputs]
        ctx.others = [None if isinstance(i, Tensor) else i for i in inputs]
        ctx.save_for_backward(*tensors, *(outputs[i] for i in cls.keeps))

    @classmethod
    def backward(cls, ctx: Any, *grads: Tensor | None) -> Gradients:
        """The gradients of all inputs."""
        n, saved = len(ctx.others), ctx.saved_tensors
        pairs = zip(saved, ctx.others, strict=False)
        inputs = [o if t is None else t for t, o in pairs]
        grads, needs = grads[: cls.results], ctx.needs_input_grad
        if all(grad is None for grad in grads):
            return (None,) * n
        kept = Saved(inputs, saved[n:], needs, grads)
        with without_autocast(inputs[0].device.type):
            if _takes_plain(grads):
                return _plain_gradients(cls.plain, kept)
            found = cls.gradients(kept)
        asked = [g if need else None for g, need in zip(found, needs, strict=False)]
        return *asked, *[None] * (n - len(asked))


def operation(cls: type[Operation]) -> Callable[..., Any]:
    """The callable of an operation, in whatever mode of torch it is called."""

    class Differentiable(Function):
        # Not by `setup_context`, for which torch looks at the signature in each call.
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            out = cls.forward(*inputs)
            cls.setup_context(ctx, inputs, out)
            return out

        backward = staticmethod(cls.backward)

    opaque = cls.plain
    if cls.schema is not None:
        _LIBRARY.define(cls.schema)
        name = cls.schema.partition("(")[0]
        opaque = _register(name, cls.forward, cls.fake)
        name, keep = f"pyg_diffpool::{name}", cls.setup_context
        register_autograd(name, cls.backward, setup_context=keep, lib=_LIBRARY)

    def call(*inputs: Any) -> Any:
        if is_transformed():
            return cls.plain(*inputs)
        run: Any = opaque
        if is_in_the_open(inputs[0]):
            run = Differentiable.apply if needs_gradient(*inputs) else cls.forward
        out = run(*inputs)
        return out[: cls.results] if isinstance(out, tuple) else out

    return call


def _register(name: str, function: Callable[..., Any], fake: Callable[..., Any]) -> Any:
    hidden = torch.no_grad()(function)
    _LIBRARY.impl(name, hidden, "CompositeExplicitAutograd")
    register_fake(f"pyg_diffpool::{name}", fake, lib=_LIBRARY)
    return getattr(torch.ops.pyg_diffpool, name).default


def is_in_the_open(like: Tensor) -> bool:
    """Whether a kernel may be called as it is: with real tensors, in eager code."""
    if torch.compiler.is_compiling():
        return False
    return type(like) in (Tensor, Parameter) and not like.is_meta


def _takes_plain(grads: Gradients) -> bool:
    """Whether gradients are differentiated, transformed, or `is_grads_batched`."""
    is_batched = torch._C._functorch.is_legacy_batchedtensor
    batched = any(g is not None and is_batched(g) for g in grads)
    return batched or torch.is_grad_enabled() or is_transformed()


def _plain_gradients(plain: Callable[..., Any], saved: Saved) -> Gradients:
    """The gradients by way of `plain`, to be differentiated once more where asked."""
    again, needs = torch.is_grad_enabled(), saved.needs
    with torch.enable_grad():
        # Views, lest the gradient of one input go on into another that depends on it.
        inputs = [
            i.view_as(i) if isinstance(i, Tensor) and i.requires_grad else i
            for i in saved.inputs
        ]
        results = plain(*inputs)
    results = results if isinstance(results, tuple) else (results,)
    pairs = zip(results, saved.grads, strict=True)
    reached = [(o, d) for o, d in pairs if d is not None and o.requires_grad]
    if not reached:
        return (None,) * len(needs)
    out, given = zip(*reached, strict=True)
    wanted = [t for t, need in zip(inputs, needs, strict=True) if need]
    options = {"create_graph": again, "allow_unused": True}
    found = iter(torch.autograd.grad(out, wanted, given, **options))
    return tuple(next(found) if need else None for need in needs)
