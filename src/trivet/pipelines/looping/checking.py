"""What callers hand over, checked while they look: numbers, functions, names.

Nobody checks types before us, so that every value counts as an object until it was looked at.
NumPy's numbers are taken for what they are; what is kept is plain, because it is stored as JSON.
"""

import difflib
import functools
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from trivet.core.errors import Invalid
from trivet.pipelines.explaining.showing import show


def finite(value: object) -> float | None:
    """Return a finite real number as a float, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number beyond the largest float
        return None
    return number if math.isfinite(number) else None


def whole(value: object) -> int | None:
    """Return a whole number as an int, None for anything else, True and False included."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        return None
    return int(value)


def is_storable(text: str) -> bool:
    """Say whether UTF-8 can hold a text: half of a surrogate pair cannot be stored."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unfit(field: str, value: object, expected: str, *, code: str, hint: str) -> Invalid:
    """Return the error that says what was handed over, and what was expected."""
    kind = type(value).__name__
    said = "" if value is None else f" ({show(value)})"
    return Invalid(f"{field} is a {kind}{said}; expected {expected}", code=code, hint=hint)


def check_function(
    field: str, value: object, expected: str, *, code: str, hint: str, optional: bool = False
) -> None:
    """Demand something that can be called.

    Args:
        field: The parameter.
        value: What was handed over.
        expected: What the function does, for the error.
        code: The error's.
        hint: What to do next.
        optional: Whether it may be None.

    Raises:
        Invalid: It cannot be called.
    """
    if not callable(value) and not (optional and value is None):
        raise unfit(field, value, expected, code=code, hint=hint)


def check_call(
    field: str,
    function: Callable[..., object],
    given: str,
    *args: object,
    hint: str,
    named: Iterable[str] = (),
) -> None:
    """Demand that a function can be called in some way, as far as its signature says.

    Args:
        field: The parameter.
        function: What was handed over.
        given: What it will be called with, for the error.
        args: The same, by place.
        hint: What to do next.
        named: Names of what it is given as keywords.

    Raises:
        Invalid: It cannot (code `bad-call`).
    """
    signature = signature_of(function)
    if signature is None:
        return
    try:
        signature.bind(*args, **dict.fromkeys(named))
    except TypeError as error:
        raise Invalid(
            f"{field} cannot be called with {given}: {error}; its signature is {signature}",
            code="bad-call",
            hint=hint,
        ) from error


def check_word(field: str, value: object, known: Iterable[str], *, code: str) -> None:
    """Demand one of several words.

    Raises:
        Invalid: It is another; the hint says which one may be meant.
    """
    words = [*known]
    if isinstance(value, str) and value in words:
        return
    near = difflib.get_close_matches(value.lower(), words, n=1) if isinstance(value, str) else []
    raise unfit(
        field,
        value,
        " or ".join(map(repr, words)),
        code=code,
        hint=f"Pass {field}={(near or words)[0]!r}.",
    )


def name_of(function: object) -> str:
    """Return what a function is called; that of a partial one, or the type of an object."""
    if isinstance(function, functools.partial):
        return name_of(cast("functools.partial[object]", function).func)
    return str(getattr(function, "__name__", type(function).__name__))


def signature_of(function: Callable[..., object]) -> inspect.Signature | None:
    """Return a function's signature, None for one that has none, as some built-in ones."""
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def describe(parameters: Mapping[str, object]) -> str:
    """Write a trial's parameters as a call has them.

    Example:
        >>> describe({"rate": 0.5, "kind": "a"})
        "rate=0.5, kind='a'"
    """
    return ", ".join(f"{name}={show(value)}" for name, value in parameters.items())
