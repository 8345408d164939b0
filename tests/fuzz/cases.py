"""Arguments made wrong on purpose: the error must be ours; all else must be right."""

import re
from collections.abc import Callable
from typing import Any

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor

from graphs import Arguments

Change = Callable[[Arguments], None]

OURS = r"^[Ee]xpected '|^[Ee]xpected |^'\w+' must "


def options(cases: int) -> settings:
    """Settings for a test with that many of the 10,000 cases."""
    few = settings.get_current_profile_name() != "fuzz"
    return settings(
        max_examples=max(cases // 50, 5) if few else cases,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def answer(function: Callable[..., object], arguments: Arguments) -> str:
    """What a call comes to; empty for an error of ours."""
    try:
        out = function(**arguments)
    except (ValueError, TypeError) as error:
        return "" if re.match(OURS, str(error)) else f"{type(error).__name__}: {error}"
    except Exception as error:  # any other is what is looked for
        return f"{type(error).__name__}: {error}"
    return f"an answer: {out!r:.200}"


def assert_refused(
    function: Callable[..., object],
    make: Callable[[], Arguments],
    wrong: dict[str, Change],
) -> None:
    """Assert that every change, by itself, ends in an error of ours."""
    answers = {}
    for name, change in wrong.items():
        arguments = make()
        change(arguments)
        answers[name] = answer(function, arguments)
    wrongly = [f"{name}: {text}" for name, text in answers.items() if text]
    assert not wrongly, "\n".join(wrongly)


def any_of(wrong: dict[str, Change]) -> st.SearchStrategy[list[str]]:
    """One change or two."""
    return st.lists(st.sampled_from(sorted(wrong)), min_size=1, max_size=2, unique=True)


def still_refused(
    function: Callable[..., object],
    arguments: Arguments,
    wrong: dict[str, Change],
    names: list[str],
) -> None:
    """Assert an error of ours, unless two changes make up for each other."""
    try:
        for name in names:
            wrong[name](arguments)
    except (AttributeError, RuntimeError, TypeError, IndexError):
        return  # one change cannot be made to what another has left
    text = answer(function, arguments)
    assert not text or (len(names) > 1 and text.startswith("an answer")), text


def put(name: str, make: Callable[[Any], Any]) -> Change:
    """Replace an argument by what is made of it."""

    def change(arguments: Arguments) -> None:
        arguments[name] = make(arguments[name])

    return change


def to(**values: object) -> Change:
    """Replace arguments by these values."""
    return lambda arguments: arguments.update(values)


def wrong(name: str, ways: dict[str, Callable[[Any], Any]]) -> dict[str, Change]:
    """An argument in each of these ways."""
    return {f"{name} {kind}": put(name, way) for kind, way in ways.items()}


def entry(value: float) -> Callable[[Tensor], Tensor]:
    """Put a value into the middle of a tensor."""

    def change(tensor: Tensor) -> Tensor:
        out = tensor.clone(memory_format=torch.contiguous_format)
        out.view(-1)[out.numel() // 2] = value
        return out

    return change


NO_TENSOR: dict[str, Callable[[Any], Any]] = {
    "a list": lambda t: t.tolist(),
    "an array": lambda t: t.numpy(),
    "a string": lambda _: "x",
    "a number": lambda _: 1,
}
WRONG_FLOATS: dict[str, Callable[[Any], Any]] = {
    **NO_TENSOR,
    "integer": lambda t: t.long(),
    "boolean": lambda t: t > 0,
    "complex": lambda t: t.to(torch.complex64),
    "no dimension": lambda t: t.sum(),
    "one dimension": lambda t: t.flatten() if t.dim() > 1 else t.sum(),
    "four dimensions": lambda t: t[(None,) * (4 - t.dim())],
    "a row more": lambda t: torch.cat([t, t[:1]]),
    "a row less": lambda t: t[1:],
    "another dtype": lambda t: t.float() if t.dtype == torch.double else t.double(),
}
WRONG_INDICES: dict[str, Callable[[Any], Any]] = {
    **NO_TENSOR,
    "int32": lambda t: t.int(),
    "boolean": lambda t: t > 0,
    "complex": lambda t: t.to(torch.complex64),
    "negative": entry(-1),
    "too large": entry(10**6),
    "another dimension": lambda t: t[None],
    "flat": lambda t: t.flatten() if t.dim() > 1 else t.sum(),
}
