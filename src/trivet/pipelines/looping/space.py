"""What a search may choose from: numbers, whole numbers, options."""

import math
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

import msgspec

from trivet.core.errors import Invalid
from trivet.pipelines.explaining.showing import show
from trivet.pipelines.looping.checking import check_word, finite, is_storable, unfit, whole
from trivet.pipelines.materialisers import is_instance

Option = str | int | float | bool | None
RESERVED = "trial"
"""The name under which an objective gets the trial itself."""
_LARGEST: Final = 2**53
"""Up to here every whole number is a float too, in which samplers reckon."""
_TOO_LARGE: Final = "Samplers reckon in floats: search for an exponent or a share instead."
_NAME_WHAT: Final = 'Name what may vary: {"rate": log_uniform(1e-4, 1e-1)}.'
_HOW: Final = {
    "uniform": "Write it like uniform(0.0, 1.0).",
    "log_uniform": "Write it like log_uniform(1e-4, 1.0).",
    "integers": "Write it like integers(1, 8).",
}


class Numbers(msgspec.Struct, frozen=True, tag=True):
    """Real numbers from low to high."""

    low: float
    high: float
    is_log: bool = False


class Integers(msgspec.Struct, frozen=True, tag=True):
    """Whole numbers from low to high, both included."""

    low: int
    high: int
    is_log: bool = False


class Options(msgspec.Struct, frozen=True, tag=True):
    """One of several values without an order."""

    options: tuple[Option, ...]


Parameter = Numbers | Integers | Options
Space = Mapping[str, Parameter]
Chosen = dict[str, Option]


def uniform(low: float, high: float) -> Parameter:
    """Choose any number from low to high.

    Raises:
        Invalid: They or their distance are not finite, or low is not below high.
    """
    return Numbers(*_range("uniform", low, high))


def log_uniform(low: float, high: float) -> Parameter:
    """Choose a number from low > 0 to high by its order of magnitude.

    Raises:
        Invalid: They are not finite and positive, or low is not below high.
    """
    return Numbers(*_range("log_uniform", low, high, positive=True), is_log=True)


def integers(low: int, high: int, *, scale: Literal["linear", "log"] = "linear") -> Parameter:
    """Choose a whole number from low to high, both included.

    Raises:
        Invalid: They are not whole or beyond 2**53, low is not below high, the scale is another
            word, or a log scale begins below 1.
    """
    check_word("scale", scale, ("linear", "log"), code="bad-space")
    ends: list[int] = []
    for side, end in (("low", low), ("high", high)):
        number = whole(end)
        if number is None:
            hint = "Use uniform(low, high) for real numbers."
            raise _wrong(f"integers: {side}", end, "a whole number", hint)
        if abs(number) > _LARGEST:
            raise _wrong(f"integers: {side}", end, "at most 2**53 either way", _TOO_LARGE)
        ends.append(number)
    _range("integers", *ends, positive=scale == "log")
    return Integers(*ends, is_log=scale == "log")


def choice(*options: Option) -> Parameter:
    """Choose one of several values without an order: text, numbers, True and False, or None.

    Raises:
        Invalid: There is none, two are equal, one is of another type, no finite number, or a whole
            one beyond 2**53.
    """
    plain = tuple(map(_option, options))
    if not plain:
        raise Invalid(
            "choice has no options; expected at least one",
            code="bad-space",
            hint='Name them: choice("linear", "forest").',
        )
    for number, option in enumerate(plain):
        if option in plain[:number]:
            twin = plain[plain.index(option)]
            raise Invalid(
                f"choice has {twin!r} and {option!r}, which are equal; expected distinct options",
                code="bad-space",
                hint="Leave one out, or give them names and look the values up in the objective.",
            )
    return Options(plain)


def check_space(space: Space) -> dict[str, Parameter]:
    """Return a space that can be searched.

    Raises:
        Invalid: It is empty, or a name or a parameter is none.
    """
    given = cast("object", space)  # nobody checks types before us
    if not isinstance(given, Mapping):
        raise _wrong("the space", given, "a mapping from names to what may be chosen", _NAME_WHAT)
    if not given:
        raise Invalid("the space is empty", code="bad-space", hint=_NAME_WHAT)
    for name, parameter in cast("Mapping[object, object]", given).items():
        if not isinstance(name, str) or not name.isidentifier() or name == RESERVED:
            raise _wrong(
                "a name in the space",
                name,
                f"the name of an argument of the objective, other than {RESERVED!r}",
                _NAME_WHAT,
            )
        if not isinstance(parameter, Parameter):
            raise Invalid(
                f"parameter {name!r} of the space is a {type(parameter).__name__}; expected "
                "uniform(...), log_uniform(...), integers(...) or choice(...)",
                code="bad-space",
                hint="Hand what is fixed to the objective by functools.partial.",
            )
    return dict(space)


def _range(name: str, low: float, high: float, *, positive: bool = False) -> tuple[float, float]:
    ends: list[float] = []
    for side, end in (("low", low), ("high", high)):
        number = finite(end)
        if number is None:
            raise _wrong(f"{name}: {side}", end, "a finite number", _HOW[name])
        ends.append(number)
    first, last = ends
    if first >= last or (positive and first <= 0) or not _is_wide(first, last, in_logs=positive):
        least = "0 < low < high" if positive else "low < high"
        raise Invalid(
            f"{name}({show(low)}, {show(high)}): expected {least}, and a distance that a float can "
            "hold",
            code="bad-space",
            hint=_HOW[name],
        )
    return first, last


def _is_wide(low: float, high: float, *, in_logs: bool) -> bool:
    """Say whether a sampler can reckon with the distance: neither infinite nor next to nothing."""
    distance = math.log(high) - math.log(low) if in_logs else high - low
    return sys.float_info.min <= distance <= sys.float_info.max


def _option(option: object) -> Option:
    """Return an option as a plain value, of NumPy's types as well."""
    value: object = option
    if is_instance(option, "numpy", "generic"):
        value = cast("Any", option).item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and is_storable(value):
        return str(value)
    number = whole(value)
    if number is not None and abs(number) <= _LARGEST:
        return number
    if number is None and isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, str | int | float):
        hint = f"Give it a name, and look the value up in the objective. {_TOO_LARGE}"
        raise _wrong(
            "an option", option, "text, a finite number within 2**53, a bool or None", hint
        )
    hint = "Give options names, and look the objects up by name inside the objective."
    raise _wrong("an option", option, "text, a number, a bool or None", hint)


def _wrong(field: str, value: object, expected: str, hint: str) -> Invalid:
    return unfit(field, value, expected, code="bad-space", hint=hint)
