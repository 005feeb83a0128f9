"""What a search may choose from: numbers, whole numbers, options."""

import math
from collections.abc import Mapping
from typing import Literal, cast

import msgspec

from trivet.core.errors import Invalid

Option = str | int | float | bool | None
RESERVED = "trial"
"""The name under which an objective gets the trial itself."""


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
        Invalid: They are not finite, or low is not below high.
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
        Invalid: They are not whole, low is not below high, or a log scale begins below 1.
    """
    if type(low) is not int or type(high) is not int:
        raise Invalid(
            f"integers({low!r}, {high!r}) has ends that are not whole",
            code="bad-space",
            hint="Use uniform(low, high) for real numbers.",
        )
    _range("integers", low, high, positive=scale == "log")
    return Integers(low, high, is_log=scale == "log")


def choice(*options: Option) -> Parameter:
    """Choose one of several values without an order: text, numbers, True and False, or None.

    Raises:
        Invalid: There is none, one comes twice, or one is of another type.
    """
    given = cast("tuple[object, ...]", options)  # nobody checks types before us
    wrong = next((o for o in given if not isinstance(o, str | int | float | bool | None)), None)
    if wrong is not None:
        raise Invalid(
            f"an option is a {type(wrong).__name__}; expected text, a number, a bool or None",
            code="bad-space",
            hint="Give options names, and look the objects up by name inside the objective.",
        )
    if not options or len({(type(option), option) for option in options}) < len(options):
        raise Invalid(
            f"choice has {len(options)} options, none or one of them twice; expected distinct ones",
            code="bad-space",
        )
    return Options(options)


def check_space(space: Space) -> dict[str, Parameter]:
    """Return a space that can be searched.

    Raises:
        Invalid: It is empty, or a name or a parameter is none.
    """
    if not space:
        raise Invalid(
            "the space is empty",
            code="bad-space",
            hint='Name what may vary: {"rate": log_uniform(1e-4, 1e-1)}.',
        )
    for name, parameter in cast("Mapping[str, object]", space).items():
        if not name.isidentifier() or name == RESERVED:
            raise Invalid(
                f"the space has a parameter {name!r}; expected the name of an argument of the "
                f"objective, other than {RESERVED!r}",
                code="bad-space",
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
    is_fit = math.isfinite(low) and math.isfinite(high) and low < high
    if not is_fit or (positive and low <= 0):
        least = "0 < low < high" if positive else "low < high"
        raise Invalid(f"{name}({low!r}, {high!r}): expected finite {least}", code="bad-space")
    return low, high
