"""Messages in a transaction log: what a run is, what it was given, what it measured."""

import json
import math
import struct
from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

from trivet.core.protobuf import Malformed, bytes_of, fields_of

RUN: Final = 17
HISTORY: Final = 2
SUMMARY: Final = 3
CONFIG: Final = 5
STATS: Final = 7
EXIT: Final = 18
_DOUBLE: Final = struct.Struct("<d")
_SIGN: Final = 1 << 63
_MOST_DEPTH: Final = 20
_WORDS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class RunMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What a log says of its run."""

    id: str = ""
    project: str = ""
    name: str = ""
    notes: str = ""
    group: str = ""
    job_type: str = ""
    sweep: str = ""
    host: str = ""
    tags: tuple[str, ...] = ()
    began_ms: int = 0
    config: dict[str, Any] = {}


def kind_of(record: bytes) -> tuple[int, bytes]:
    """Return which kind of message a record holds, and the message.

    Raises:
        Malformed: The record is none.
    """
    known = {RUN, HISTORY, SUMMARY, CONFIG, STATS, EXIT}
    for field, value in fields_of(record):
        if field in known and isinstance(value, bytes):
            return field, value
    return 0, b""


def read_run(data: bytes) -> RunMessage:
    """Read what a log says of its run."""
    texts: dict[int, str] = {}
    tags: list[str] = []
    began_ms = 0
    config: dict[str, Any] = {}
    for field, value in fields_of(data):
        if not isinstance(value, bytes):
            continue
        if field == 4:
            config = dict(read_items(value))
        elif field == 17:
            began_ms = _milliseconds(value)
        elif field == 10:
            tags.append(value.decode("utf-8", "replace"))
        elif field in {1, 3, 6, 7, 8, 9, 12, 13}:
            texts[field] = value.decode("utf-8", "replace")
    return RunMessage(
        id=texts.get(1, ""),
        project=texts.get(3, ""),
        name=texts.get(8, ""),
        notes=texts.get(9, ""),
        group=texts.get(6, ""),
        job_type=texts.get(7, ""),
        sweep=texts.get(12, ""),
        host=texts.get(13, ""),
        tags=tuple(tags),
        began_ms=began_ms,
        config=config,
    )


def read_items(data: bytes, *, updates: int = 1) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a configuration, a summary, a row of history, or figures."""
    for field, value in fields_of(data):
        if field == updates and isinstance(value, bytes):
            yield _item(value)


def read_exit(data: bytes) -> int:
    """Return with which code a program ended."""
    return next((value for field, value in fields_of(data) if field == 1), 0)


def read_time(data: bytes) -> int:
    """Return the time of system figures, in milliseconds."""
    return _milliseconds(bytes_of(data, 2))


def flattened(values: Iterator[tuple[str, Any]] | dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield keys and plain values: what is nested has its keys joined by dots."""
    pairs = values.items() if isinstance(values, dict) else values
    for key, value in pairs:
        yield from _flat(key, value, 0)


def number_of(value: object) -> float | None:
    """Return a number, also one that JSON has no words for; None for all else."""
    if isinstance(value, str):
        return _WORDS.get(value)
    if isinstance(value, bool | int | float):
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def text_of(value: object) -> str:
    """Return a value as the text of a parameter."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _flat(key: str, value: object, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value and depth < _MOST_DEPTH and "_type" not in value:
        for name, inner in cast("dict[str, object]", value).items():
            yield from _flat(f"{key}.{name}", inner, depth + 1)
    else:
        yield key, value


def _item(data: bytes) -> tuple[str, Any]:
    names: list[str] = []
    found: Any = None
    for field, value in fields_of(data):
        if field in {1, 2} and isinstance(value, bytes):
            names.append(value.decode("utf-8", "replace"))
        elif field in {16, 8} and isinstance(value, bytes):
            found = _json(value)
        elif field == 4:
            found = bool(value)
        elif field == 5 and isinstance(value, int):
            found = value - (value >= _SIGN) * 2 * _SIGN
        elif field == 6 and isinstance(value, bytes) and len(value) == _DOUBLE.size:
            found = _DOUBLE.unpack(value)[0]
        elif field == 7 and isinstance(value, bytes):
            found = value.decode("utf-8", "replace")
    return ".".join(name for name in names if name), found


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a value is no JSON: {error}") from error


def _milliseconds(data: bytes) -> int:
    seconds = nanoseconds = 0
    for field, value in fields_of(data):
        if field == 1 and isinstance(value, int):
            seconds = value
        elif field == 2 and isinstance(value, int):
            nanoseconds = value
    return seconds * 1000 + nanoseconds // 1_000_000
