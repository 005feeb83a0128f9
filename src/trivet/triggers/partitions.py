"""What a back-fill is over: days, months, hours, numbers or names, and their product. Pure."""

import calendar
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import product
from math import prod

import msgspec

from trivet.core.errors import Invalid
from trivet.core.ids import sha256_hex

MOST_PARTITIONS = 10_000
"""Partitions of one back-fill; each is a run of its own."""

Value = str | int
Partition = dict[str, Value]
"""Parameters of one run, by name."""

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})")
_UNREADABLE = re.compile(r"[^A-Za-z0-9=.:-]+")
_READABLE = 60
_EXAMPLE = "For example day=2026-01-01..2026-01-31, month=2025-11..2026-02, n=1..20, region=eu,us."


class Axis(msgspec.Struct, frozen=True):
    """One parameter and the values that it takes, in their order."""

    parameter: str
    values: tuple[Value, ...]


def parse_axis(text: str) -> Axis:
    """Read an axis: `name=FIRST..LAST`, both included, or `name=a,b,c`.

    FIRST and LAST are both days (2026-01-31), months (2026-01), hours (2026-01-31T05) or whole
    numbers. A list whose items all are whole numbers has numbers, every other one text.

    Raises:
        Invalid: It has another form.
    """
    name, equals, rest = text.partition("=")
    if not equals or not name.isidentifier() or not rest:
        raise _bad(text, "it is no axis; expected name=values")
    if ".." in rest:
        first, _, last = rest.partition("..")
        return Axis(name, tuple(_range(text, first, last)))
    items = rest.split(",")
    if not all(items):
        raise _bad(text, "an item of its list is empty")
    if len(set(items)) != len(items):
        raise _bad(text, "an item stands twice in its list")
    if all(_NUMBER.fullmatch(item) for item in items):
        return Axis(name, tuple(map(int, items)))
    return Axis(name, tuple(items))


def partitions_of(axes: Sequence[Axis], *, newest_first: bool = False) -> tuple[Partition, ...]:
    """Return the product of axes, in the order to run; the first axis changes slowest.

    Raises:
        Invalid: There is no axis, two have one parameter, or the product is larger than 10,000.
    """
    names = [axis.parameter for axis in axes]
    if not names:
        raise Invalid("a back-fill is over nothing", code="bad-over", hint=_EXAMPLE)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise Invalid(
            f"the parameter {twice!r} is gone over twice",
            code="bad-over",
            hint="Give each parameter one range or one list.",
        )
    count = prod(len(axis.values) for axis in axes)
    if count > MOST_PARTITIONS:
        raise Invalid(
            f"a back-fill of {count} partitions is too large; expected at most {MOST_PARTITIONS}",
            code="too-many-partitions",
            hint="Fill in several parts, or by a coarser unit.",
        )
    values = product(*(axis.values for axis in axes))
    found = [dict(zip(names, row, strict=True)) for row in values]
    return tuple(reversed(found) if newest_first else found)


def label_of(partition: Partition) -> str:
    """Write a partition as people read it: `day=2026-01-01 region=eu`."""
    return " ".join(f"{name}={value}" for name, value in partition.items())


def key_of(flow: str, partition: Partition) -> str:
    """Return what names a partition of a flow: readable, and equal for equal values alone."""
    packed = msgspec.json.encode(partition, order="sorted")
    readable = _UNREADABLE.sub("_", label_of(partition))[:_READABLE]
    return f"{readable}-{sha256_hex(flow.encode(), packed)[:16]}"


def _range(text: str, first: str, last: str) -> Iterator[Value]:
    for form, steps in _FORMS:
        if form.fullmatch(first) and form.fullmatch(last):
            try:
                found = steps(first, last)
            except Invalid:
                raise  # too many: it is a ValueError, too
            except (ValueError, calendar.IllegalMonthError, OverflowError) as error:
                raise _bad(text, f"it has no such day or month: {error}") from error
            if not found:
                raise _bad(text, "its range falls; the first value comes first")
            return iter(found)
    raise _bad(text, "its ends are not both days, months, hours or whole numbers")


def _days(first: str, last: str) -> list[Value]:
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    count = _bounded((end - begin).days + 1)
    return [(begin + timedelta(days=number)).isoformat() for number in range(count)]


def _hours(first: str, last: str) -> list[Value]:
    begin, end = (datetime.fromisoformat(f"{at}:00") for at in (first, last))
    count = _bounded((end - begin) // timedelta(hours=1) + 1)
    return [(begin + timedelta(hours=number)).isoformat() for number in range(count)]


def _months(first: str, last: str) -> list[Value]:
    begin, end = (int(year) * 12 + _month(month) for year, month in _pairs(first, last))
    count = _bounded(end - begin + 1)
    return [f"{at // 12:04}-{at % 12 + 1:02}" for at in range(begin, begin + count)]


def _pairs(*months: str) -> Iterator[list[str]]:
    return (month.split("-") for month in months)


def _month(text: str) -> int:
    if not 1 <= int(text) <= 12:
        raise calendar.IllegalMonthError(int(text))
    return int(text) - 1


def _numbers(first: str, last: str) -> list[Value]:
    return list(range(int(first), int(first) + _bounded(int(last) - int(first) + 1)))


def _bounded(count: int) -> int:
    if count > MOST_PARTITIONS:
        raise Invalid(
            f"a range of {count} values is too large; expected at most {MOST_PARTITIONS}",
            code="too-many-partitions",
            hint="Fill in several parts, or by a coarser unit.",
        )
    return count


def _bad(text: str, what: str) -> Invalid:
    return Invalid(f"--over {text!r}: {what}", code="bad-over", hint=_EXAMPLE)


_FORMS: tuple[tuple[re.Pattern[str], Callable[[str, str], list[Value]]], ...] = (
    (re.compile(r"\d{4}-\d\d-\d\d"), _days),
    (re.compile(r"\d{4}-\d\d"), _months),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d"), _hours),
    (_NUMBER, _numbers),
)
