"""Values as they are received, one at a time: from a request's field to a float, or a clear no.

| input | features | missing |
|---|---|---|
| number, integer | the value | NaN |
| boolean | 0 or 1 | NaN |
| category | its code, 0 for the first category of the signature | NaN |
| datetime | `.days` since 1970-01-01, `.month` 1–12, `.weekday` 1 (Monday) – 7, `.minute` of the \
day 0–1439; in UTC when it has a time zone, else as it stands | NaN, four times |

Numeric: imports NumPy.
"""

import difflib
import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from numbers import Integral, Real
from typing import Any, Final

import numpy as np

from trivet.core.errors import Invalid
from trivet.models.facts import Input

NAN: Final = math.nan
HIGHEST: Final = float(np.finfo(np.float32).max)
LARGEST: Final = 2**63 - 1
"""The largest whole number that a record of a request can hold."""
DATE_PARTS: Final = ("days", "month", "weekday", "minute")
_EPOCH: Final = date(1970, 1, 1).toordinal()
_NO_DATE: Final = (NAN,) * len(DATE_PARTS)
_EXPECTED: Final = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "category": "text",
    "datetime": "a date or time in ISO 8601",
}
_EXAMPLES: Final = {
    "number": "12.5",
    "integer": "12",
    "boolean": "true",
    "category": '"abc"',
    "datetime": '"2013-07-01T18:30:00"',
}
Converter = Callable[[object], Any]


def features_of(item: Input) -> tuple[str, ...]:
    """Name the features that an input becomes, in order."""
    if item.type == "datetime":
        return tuple(f"{item.name}.{part}" for part in DATE_PARTS)
    return (item.name,)


def converter_of(item: Input) -> Converter:
    """Choose the function that turns a received value into a float (for a date: four)."""
    if item.type == "category":
        return _category(item)
    return {
        "number": _number,
        "integer": _integer,
        "boolean": _boolean,
        "datetime": _datetime,
    }[item.type](item)


def date_parts(item: Input, when: date) -> tuple[float, ...]:
    """Take a date or time apart, as the table in this module says.

    Raises:
        Invalid: In UTC it lies outside the years 1 to 9999.
    """
    minute = 0
    if isinstance(when, datetime):
        if when.tzinfo is not None:
            try:
                when = when.astimezone(UTC)
            except OverflowError:
                raise _no_date(item) from None
        minute = 60 * when.hour + when.minute
    return when.toordinal() - _EPOCH, when.month, when.isoweekday(), minute


def read_date(item: Input, text: str) -> date:
    """Read a date or time in ISO 8601.

    Raises:
        Invalid: The text is none.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _no_date(item) from None


def category_codes(item: Input) -> dict[str | int, float]:
    """Map an input's categories to their codes, whole numbers also as such."""
    codes: dict[str | int, float] = {name: float(at) for at, name in enumerate(item.categories)}
    codes.update(
        (int(name), float(at))
        for at, name in enumerate(item.categories)
        if name.lstrip("-").isdecimal() and str(int(name)) == name
    )
    return codes


def wrong_type(item: Input, received: str) -> Invalid:
    """Say that a field has a type that its input does not take."""
    return Invalid(
        f"field {item.name!r} is a {received}; expected {expected_of(item)}",
        code="wrong-type",
        hint=f"Send it like {_EXAMPLES[item.type]}.",
        detail={"field": item.name, "expected": item.type, "received": received},
    )


def missing_value(item: Input) -> Invalid:
    """Say that a value is missing that the model was never trained without."""
    return Invalid(
        f"field {item.name!r} is null; expected {expected_of(item)}",
        code="missing-value",
        hint="Send a value: the model was trained on rows that all had one.",
        detail={"field": item.name},
    )


def out_of_range(item: Input) -> Invalid:
    """Say that a number does not fit into float32, or a whole number into 64 bits."""
    return Invalid(
        f"field {item.name!r} is infinite, beyond 3.4e38, or a whole number of more than 64 bits; "
        "expected a finite number",
        code="out-of-range",
        hint="Send null where the value is not known.",
        detail={"field": item.name},
    )


def unknown_category(item: Input, value: object) -> Invalid:
    """Say that a category was not seen in training."""
    near = difflib.get_close_matches(str(value), item.categories, n=1)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    known = ", ".join(map(repr, item.categories[:10]))
    more = f" and {len(item.categories) - 10} more" if len(item.categories) > 10 else ""
    return Invalid(
        f"field {item.name!r} is a category that was not seen in training",
        code="unknown-category",
        hint=f"{meant}Known are {known}{more}. Retrain with the new one, or declare the input "
        "with unknown='missing'.",
        detail={"field": item.name},
    )


def _no_date(item: Input) -> Invalid:
    return Invalid(
        f"field {item.name!r} is text that is no date; expected {expected_of(item)}",
        code="wrong-type",
        hint=f"Send it like {_EXAMPLES['datetime']}.",
        detail={"field": item.name, "expected": item.type},
    )


def expected_of(item: Input) -> str:
    """Say in words what an input takes."""
    return _EXPECTED[item.type]


def _missing(item: Input, value: object) -> bool:
    """Whether a value is a missing one.

    Raises:
        Invalid: It is, and the input allows none.
    """
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124  # NaN
        if item.missing == "reject":
            raise missing_value(item)
        return True
    return False


def _number(item: Input) -> Converter:
    def uncommon(value: object) -> float:
        if _missing(item, value):
            return NAN
        if isinstance(value, bool) or not isinstance(value, Real):
            raise wrong_type(item, type(value).__name__)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        is_too_long = isinstance(value, int) and not -LARGEST - 1 <= value <= LARGEST
        if is_too_long or not -HIGHEST <= number <= HIGHEST:
            raise out_of_range(item)
        return number

    def convert(value: object) -> float:
        if type(value) is float and -HIGHEST <= value <= HIGHEST:
            return value
        if type(value) is int and -LARGEST - 1 <= value <= LARGEST:
            return value
        return uncommon(value)

    return convert


def _integer(item: Input) -> Converter:
    number = _number(item)

    def convert(value: object) -> float:
        if type(value) is int and -LARGEST - 1 <= value <= LARGEST:
            return value
        read = number(value)
        if read == read and not float(read).is_integer():  # noqa: PLR0124  # not NaN
            raise wrong_type(item, f"{type(value).__name__} with a fraction")
        return read

    return convert


def _boolean(item: Input) -> Converter:
    def convert(value: object) -> float:
        if value is True:
            return 1.0
        if value is False:
            return 0.0
        if _missing(item, value):
            return NAN
        if not isinstance(value, np.bool_):
            raise wrong_type(item, type(value).__name__)
        return 1.0 if value else 0.0

    return convert


def _category(item: Input) -> Converter:
    codes = category_codes(item)

    def convert(value: object) -> float:
        if type(value) is str or type(value) is int:
            code = codes.get(value)
            if code is not None:
                return code
        elif _missing(item, value):
            return NAN
        elif isinstance(value, bool) or not isinstance(value, str | Integral):
            raise wrong_type(item, type(value).__name__)
        else:
            return convert(str(value) if isinstance(value, str) else int(value))
        if item.unknown == "missing":
            return NAN
        raise unknown_category(item, value)

    return convert


def _datetime(item: Input) -> Converter:
    def convert(value: object) -> tuple[float, ...]:
        if type(value) is str:
            return date_parts(item, read_date(item, value))
        if isinstance(value, date):
            return date_parts(item, value)
        if _missing(item, value):
            return _NO_DATE
        raise wrong_type(item, type(value).__name__)

    return convert
