"""Plain values as text, with places left open for what is stored in files of its own.

The text is JSON. What JSON cannot say (tuples, sets, infinities, dates, mappings with other keys
than text) is an object with one key that begins with `$`; a leaf that was taken out is
`{"$part": number}`. Every value that is taken apart comes back equal and of the same type.
"""

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from trivet.core.errors import Corrupt

_SPOKEN: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], object]]] = {
    "$datetime": (dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "$date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "$time": (dt.time, dt.time.isoformat, dt.time.fromisoformat),
    "$timedelta": (
        dt.timedelta,
        lambda v: [v.days, v.seconds, v.microseconds],
        lambda v: dt.timedelta(*v),
    ),
    "$decimal": (Decimal, str, Decimal),
    "$uuid": (UUID, str, UUID),
    "$float": (float, repr, float),
    "$complex": (
        complex,
        lambda v: [repr(v.real), repr(v.imag)],
        lambda v: complex(*map(float, v)),
    ),
}
_CONTAINERS: dict[str, Callable[[list[Any]], object]] = {
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": dict,
}
_BY_TYPE = {kind: (tag, write) for tag, (kind, write, _) in _SPOKEN.items()}


class NoForm(Exception):
    """A value that is neither plain nor a leaf. Never leaves the room: it becomes an `Invalid`."""

    def __init__(self, value: object) -> None:
        super().__init__(type(value).__name__)
        self.value = value


def take_apart(value: object, take_leaf: Callable[[object], object | None]) -> str:
    """Write a value as JSON text.

    Args:
        value: The value; containers in it to any depth.
        take_leaf: Asked first for everything that is no plain value; returns what names the leaf
            (a number, a digest), or None when the value is no leaf.

    Raises:
        NoForm: Something in it is neither plain nor a leaf, or it holds itself.
    """
    try:
        return json.dumps(_write(value, take_leaf), allow_nan=False, separators=(",", ":"))
    except (RecursionError, ValueError) as error:  # it holds itself, or an integer is too long
        raise NoForm(value) from error


def put_together(text: bytes | str, leaf: Callable[[object], object]) -> object:
    """Read back what `take_apart` wrote; `leaf` returns the value of a name.

    Raises:
        Corrupt: The text is no form of a value.
    """
    try:
        return _read(json.loads(text), leaf)
    except (ValueError, TypeError, ArithmeticError, RecursionError, LookupError) as error:
        raise Corrupt(
            f"a stored value does not read back: {error}", hint="Run `trivet fsck`."
        ) from error


def _write(value: object, take_leaf: Callable[[object], object | None]) -> object:
    kind = type(value)
    if value is None or kind in {bool, int, str}:
        return value
    if kind is float and math.isfinite(cast("float", value)):
        return value
    name = take_leaf(value)
    if name is not None:
        return {"$part": name}
    if kind in _BY_TYPE:
        tag, write = _BY_TYPE[kind]
        return {tag: _checked(write(value), value)}
    return _write_container(value, take_leaf)


def _write_container(value: object, take_leaf: Callable[[object], object | None]) -> object:
    kind = type(value)
    if kind is list or kind is tuple:
        items = [_write(item, take_leaf) for item in cast("list[object]", value)]
        return items if kind is list else {"$tuple": items}
    if kind is set or kind is frozenset:
        members = [_write(item, take_leaf) for item in cast("set[object]", value)]
        return {f"${kind.__name__}": sorted(members, key=json.dumps)}
    if kind is dict:
        pairs = cast("dict[object, object]", value).items()
        if all(type(key) is str and not key.startswith("$") for key, _ in pairs):
            return {str(key): _write(item, take_leaf) for key, item in pairs}
        return {"$dict": [[_write(k, take_leaf), _write(item, take_leaf)] for k, item in pairs]}
    raise NoForm(value)


def _checked(said: object, value: object) -> object:
    """Refuse a time whose zone its text does not name."""
    zone = getattr(value, "tzinfo", None)
    if zone is not None and not isinstance(zone, dt.timezone):
        raise NoForm(value)
    return said


def _read(form: object, leaf: Callable[[object], object]) -> object:
    if isinstance(form, list):
        return _read_items(cast("list[object]", form), leaf)
    if not isinstance(form, dict):
        return form
    mapping = cast("Mapping[str, object]", form)
    tag = next(iter(mapping), "")
    if tag == "$part":
        return leaf(mapping[tag])
    if tag.startswith("$"):
        return _read_tagged(tag, mapping[tag], leaf)
    return {key: _read(item, leaf) for key, item in mapping.items()}


def _read_tagged(tag: str, said: object, leaf: Callable[[object], object]) -> object:
    if tag in _CONTAINERS:
        return _CONTAINERS[tag](_read_items(said, leaf))
    return _SPOKEN[tag][2](said)


def _read_items(said: object, leaf: Callable[[object], object]) -> list[object]:
    return [_read(item, leaf) for item in cast("list[object]", said)]
