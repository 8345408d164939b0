"""Properties that are computed once."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801
    """As `functools.cached_property`, without the lock that `torch.compile` refuses.

    Within a compiled graph the value is computed anew; a compiler merges what is equal.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function, self.name = function, function.__name__
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        """The value, which then stands in the instance's dictionary."""
        if instance is None:
            return self  # type: ignore[return-value]
        value = self.function(instance)
        if not torch.compiler.is_dynamo_compiling():
            instance.__dict__[self.name] = value
        return value
