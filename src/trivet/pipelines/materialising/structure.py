"""Plain values as text, with places left open for what is stored in files of its own.

The text is JSON. What JSON cannot say (tuples, sets, infinities, dates, mappings with other keys
than text) is an object with one key that begins with `$`; a leaf that was taken out is
`{"$part": name}`, and a value that is made of named parts (a pandas frame, a dataclass) is
`{"$made": [format, parts]}`. Every value that is taken apart comes back equal and of the same type.
"""

import datetime as dt
import json
import math
import re
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from trivet.core.errors import Corrupt, TrivetError

Clock = TypeVar("Clock", dt.datetime, dt.time)


class NoForm(Exception):
    """A value that is neither plain nor a leaf. Never leaves the room: it becomes an `Invalid`.

    Args:
        value: The value.
        reason: Why, where its type does not say it.
        advice: What to do instead.
    """

    def __init__(self, value: object, reason: str = "", advice: str = "") -> None:
        super().__init__(reason or type(value).__name__)
        self.value = value
        self.reason = reason
        self.advice = advice
        self.place: list[str] = []
        """Where it is within the whole, outermost first: `["models"]`, `[2]`, `.tokenizer`."""


def _say_time(value: dt.datetime) -> object:
    zone = value.tzinfo
    if isinstance(zone, ZoneInfo) and zone.key:
        return [value.replace(tzinfo=None).isoformat(), zone.key, value.fold]
    if zone is not None and type(zone) is not dt.timezone:
        raise NoForm(value, f"its zone is a {type(zone).__name__}, which its text does not name")
    return _say_fixed(value)


def _read_time(said: object) -> dt.datetime:
    if isinstance(said, str):
        return dt.datetime.fromisoformat(said)
    if isinstance(said, dict):
        return _read_fixed(cast("dict[str, Any]", said), dt.datetime)
    naive, key, fold = cast("list[Any]", said)
    return dt.datetime.fromisoformat(naive).replace(tzinfo=ZoneInfo(key), fold=fold)


def _say_fixed(value: dt.datetime | dt.time) -> object:
    """Say a time without a zone or with a fixed one: as text, unless that would leave some out."""
    zone = value.tzinfo
    name = zone.tzname(None) if type(zone) is dt.timezone else None
    is_named = type(zone) is dt.timezone and name != dt.timezone(zone.utcoffset(None)).tzname(None)
    if not is_named and not value.fold:
        return value.isoformat()
    return {"text": value.isoformat(), "zone": name if is_named else None, "fold": value.fold}


def _read_fixed(said: dict[str, Any], kind: type[Clock]) -> Clock:
    value = kind.fromisoformat(said["text"]).replace(fold=said["fold"])
    if said["zone"] is None:
        return value
    if not isinstance(value.tzinfo, dt.timezone):
        raise ValueError(f"{said['text']!r} has no offset")  # noqa: TRY004  # it is damaged text
    return value.replace(tzinfo=dt.timezone(value.tzinfo.utcoffset(None), said["zone"]))


def _say_clock(value: dt.time) -> object:
    if value.tzinfo is not None and type(value.tzinfo) is not dt.timezone:
        raise NoForm(value, f"its zone is a {type(value.tzinfo).__name__}, which is not kept")
    return _say_fixed(value)


def _read_clock(said: object) -> dt.time:
    if isinstance(said, str):
        return dt.time.fromisoformat(said)
    return _read_fixed(cast("dict[str, Any]", said), dt.time)


def _say_text(value: str) -> object:
    """Say a text; one with halves of characters as numbers, for JSON would join two halves."""
    if value.isascii() or not _HALVES.search(value):
        return value
    return {"$text": [ord(one) for one in value]}


_HALVES = re.compile("[\ud800-\udfff]")


def _slice_bounds(value: "slice[object, object, object]") -> list[object]:
    bounds = [value.start, value.stop, value.step]
    if any(item is not None and type(item) is not int for item in bounds):
        raise NoForm(value, "its bounds are no integers")
    return bounds


_SPOKEN: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], object]]] = {
    "$datetime": (dt.datetime, _say_time, _read_time),
    "$date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "$time": (dt.time, _say_clock, _read_clock),
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
    "$range": (range, lambda v: [v.start, v.stop, v.step], lambda v: range(*v)),
    "$slice": (slice, _slice_bounds, lambda v: slice(*v)),
}
_CONTAINERS: dict[str, Callable[[list[Any]], object]] = {
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": dict,
    "$ordered": OrderedDict,
    "$counter": lambda pairs: Counter(dict(pairs)),
}
_BY_TYPE = {kind: (tag, write) for tag, (kind, write, _) in _SPOKEN.items()}
_BY_PAIRS: dict[type, str] = {OrderedDict: "$ordered", Counter: "$counter"}


class Made(Protocol):
    """A value as its named parts."""

    @property
    def format(self) -> str:
        """What puts the parts together."""
        ...

    @property
    def parts(self) -> Mapping[str, object]:
        """The parts; each is taken apart in its turn."""
        ...


Take = Callable[[object], object | None]
"""Returns what names a leaf (a number, a digest), or None when the value is no leaf."""


def take_apart(
    value: object, take_leaf: Take, make: Callable[[object], Made | None] = lambda _: None
) -> str:
    """Write a value as JSON text.

    Args:
        value: The value; containers in it to any depth.
        take_leaf: Asked first for everything that is no plain value.
        make: Asked next for what is no leaf and no plain container.

    Raises:
        NoForm: Something in it is neither plain nor a leaf, or it holds itself.
    """
    try:
        written = _Writer(take_leaf, make).write(value)
        return json.dumps(written, allow_nan=False, separators=(",", ":"))
    except RecursionError as error:
        raise NoForm(value, "it holds itself, or is nested too deeply") from error
    except ValueError as error:  # an integer of too many digits
        if isinstance(error, TrivetError):
            raise
        raise NoForm(value, str(error)) from error


def put_together(
    text: bytes | str,
    leaf: Callable[[object], object],
    made: Callable[[str, dict[str, object]], object] | None = None,
) -> object:
    """Read back what `take_apart` wrote.

    Args:
        text: The text.
        leaf: Returns the value of a leaf's name.
        made: Puts the parts of a format together.

    Raises:
        Corrupt: The text is no form of a value.
    """
    try:
        return _Reader(leaf, made).read(json.loads(text))
    except TrivetError:
        raise
    except (ValueError, TypeError, ArithmeticError, RecursionError, LookupError) as error:
        raise Corrupt(
            f"a stored value does not read back: {error}", hint="Run `trivet fsck`."
        ) from error


class _Writer:
    def __init__(self, take_leaf: Take, make: Callable[[object], Made | None]) -> None:
        self._take_leaf = take_leaf
        self._make = make

    def write(self, value: object) -> object:
        kind = type(value)
        if value is None or kind in {bool, int}:
            return value
        if kind is str:
            return _say_text(cast("str", value))
        if kind is float and math.isfinite(cast("float", value)):
            return value
        if kind in _BY_TYPE:
            tag, say = _BY_TYPE[kind]
            return {tag: say(value)}
        name = self._take_leaf(value)
        if name is not None:
            return {"$part": name}
        return self._container(value)

    def _container(self, value: object) -> object:
        kind = type(value)
        if kind in _BY_PAIRS:
            return {_BY_PAIRS[kind]: self._pairs(cast("dict[object, object]", value))}
        if kind is dict:
            return self._mapping(cast("dict[object, object]", value))
        if kind is list or kind is tuple:
            items = self._items(cast("list[object]", value))
            return items if kind is list else {"$tuple": items}
        if kind is set or kind is frozenset:
            members = [self.write(item) for item in cast("set[object]", value)]
            return {f"${kind.__name__}": sorted(members, key=json.dumps)}
        if kind is deque:
            queue = cast("deque[object]", value)
            return {"$deque": [self._items(queue), queue.maxlen]}
        return self._made(value)

    def _made(self, value: object) -> object:
        made = self._make(value)
        if made is None:
            raise NoForm(value)
        parts = {name: self._at(f".{name}", part) for name, part in made.parts.items()}
        return {"$made": [made.format, parts]}

    def _mapping(self, pairs: Mapping[object, object]) -> object:
        if all(_is_plain_key(key) for key in pairs):
            return {str(key): self._at(f"[{key!r}]", item) for key, item in pairs.items()}
        return {"$dict": self._pairs(pairs)}

    def _pairs(self, pairs: Mapping[object, object]) -> list[object]:
        return [
            [self._at(f" key {key!r}", key), self._at(f"[{key!r}]", item)]
            for key, item in pairs.items()
        ]

    def _items(self, items: Iterable[object]) -> list[object]:
        written: list[object] = []
        for number, item in enumerate(items):
            try:
                written.append(self.write(item))
            except NoForm as error:
                error.place.insert(0, f"[{number}]")
                raise
        return written

    def _at(self, place: str, item: object) -> object:
        try:
            return self.write(item)
        except NoForm as error:
            error.place.insert(0, place)
            raise


def _is_plain_key(key: object) -> bool:
    return type(key) is str and not key.startswith("$") and type(_say_text(key)) is str


class _Reader:
    def __init__(
        self,
        leaf: Callable[[object], object],
        made: Callable[[str, dict[str, object]], object] | None,
    ) -> None:
        self._leaf = leaf
        self._made = made

    def read(self, form: object) -> object:
        if isinstance(form, list):
            return self._items(cast("object", form))
        if not isinstance(form, dict):
            return form
        mapping = cast("Mapping[str, object]", form)
        tag = next(iter(mapping), "")
        if tag.startswith("$"):
            return self._tagged(tag, mapping[tag])
        return {key: self.read(item) for key, item in mapping.items()}

    def _tagged(self, tag: str, said: object) -> object:
        if tag == "$part":
            return self._leaf(said)
        if tag == "$made":
            format_, parts = cast("list[Any]", said)
            if self._made is None:
                raise LookupError(tag)
            return self._made(format_, {key: self.read(part) for key, part in parts.items()})
        if tag == "$deque":
            items, maxlen = cast("list[Any]", said)
            return deque(self._items(items), maxlen)
        if tag == "$text":
            return "".join(map(chr, cast("list[int]", said)))
        if tag in _CONTAINERS:
            return _CONTAINERS[tag](self._items(said))
        return _SPOKEN[tag][2](said)

    def _items(self, said: object) -> list[object]:
        return [self.read(item) for item in cast("list[object]", said)]
