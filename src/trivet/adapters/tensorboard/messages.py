"""Messages in event files."""

import struct
from array import array
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from trivet.core.protobuf import Malformed, bytes_of, fields_of, varint

_DOUBLE: Final = struct.Struct("<d")
_FLOAT: Final = struct.Struct("<f")
_SIGN: Final = 1 << 63
# A tensor's type: which field has its values one by one, and how they lie in its bytes.
_FLOATS: Final = {1: (5, "f"), 2: (6, "d"), 3: (7, "i"), 9: (10, "q"), 10: (11, "B")}
_HALF: Final = 19
_STRING: Final = 7
_STRINGS: Final = 8


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a summary."""

    tag: str
    plugin: str
    content: bytes
    """What the plugin says of it."""
    number: float | None = None
    texts: tuple[bytes, ...] = ()
    image: bytes = b""
    audio: bytes = b""


def read_event(data: bytes) -> tuple[float, int, bytes]:
    """Return an event's time in seconds, its step, and its summary; without one empty bytes."""
    seconds, step, summary = 0.0, 0, b""
    for field, value in fields_of(data):
        if field == 1 and isinstance(value, bytes) and len(value) == _DOUBLE.size:
            seconds = _DOUBLE.unpack(value)[0]
        elif field == 2 and isinstance(value, int):
            step = value - (value >= _SIGN) * 2 * _SIGN
        elif field == 5 and isinstance(value, bytes):
            summary = value
    return seconds, step, summary


def read_summary(data: bytes) -> Iterator[Value]:
    """Yield the values of a summary."""
    for field, value in fields_of(data):
        if field == 1 and isinstance(value, bytes):
            yield _value(value)


def _value(data: bytes) -> Value:
    tag, plugin, content = "", "", b""
    found: dict[str, Any] = {}
    for field, value in fields_of(data):
        if not isinstance(value, bytes):
            continue
        if field == 1:
            tag = value.decode("utf-8", "replace")
        elif field == 2 and len(value) == _FLOAT.size:
            found["number"] = _FLOAT.unpack(value)[0]
        elif field == 4:
            found["image"] = bytes_of(value, 4)
        elif field == 6:
            found["audio"] = bytes_of(value, 4)
        elif field == 8:
            found |= _tensor(value)
        elif field == 9:
            plugin, content = _plugin(value)
    return Value(tag=tag, plugin=plugin, content=content, **found)


def _plugin(data: bytes) -> tuple[str, bytes]:
    inner = bytes_of(data, 1)
    return bytes_of(inner, 1).decode("utf-8", "replace"), bytes_of(inner, 2)


def _tensor(data: bytes) -> dict[str, Any]:
    """Return a tensor's texts, or its number when it has one alone."""
    kind, content = 0, b""
    parts: dict[int, list[Any]] = {}
    for field, value in fields_of(data):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field == 4 and isinstance(value, bytes):
            content = value
        else:
            parts.setdefault(field, []).append(value)
    if kind == _STRING:
        return {"texts": tuple(part for part in parts.get(_STRINGS, ()) if _isbytes_of(part))}
    number = _number(kind, content, parts)
    return {} if number is None else {"number": number}


def _number(kind: int, content: bytes, parts: dict[int, list[Any]]) -> float | None:
    if kind == _HALF and len(content) == 2:
        return float(struct.unpack("<e", content)[0])
    if kind not in _FLOATS:
        return None
    field, code = _FLOATS[kind]
    size = array(code).itemsize
    if content:
        return float(struct.unpack(f"<{code}", content)[0]) if len(content) == size else None
    return _lone(parts.get(field, []), code, size)


def _lone(values: list[Any], code: str, size: int) -> float | None:
    """Return the only one of a field's values, which may be packed; None when there are others."""
    if len(values) != 1:
        return None
    if isinstance(values[0], int):
        return float(values[0] - (values[0] >= _SIGN) * 2 * _SIGN)
    if code in "fd":
        return float(struct.unpack(f"<{code}", values[0])[0]) if len(values[0]) == size else None
    number, end = varint(values[0], 0)
    return float(number - (number >= _SIGN) * 2 * _SIGN) if end == len(values[0]) else None


def read_hparams(content: bytes) -> dict[str, str]:
    """Return the parameters with which a session of the plugin `hparams` begins; none for others.

    What is malformed in it is left out.
    """
    found: dict[str, str] = {}
    try:
        for field, value in fields_of(bytes_of(content, 3)):
            if field == 1 and isinstance(value, bytes):
                key = bytes_of(value, 1).decode("utf-8", "replace")
                found[key] = _text(bytes_of(value, 2))
    except Malformed:
        pass
    return found


def _text(data: bytes) -> str:
    """Return the text of a value of any kind, as people write it."""
    for field, value in fields_of(data):
        if field == 2 and isinstance(value, bytes) and len(value) == _DOUBLE.size:
            number = _DOUBLE.unpack(value)[0]
            return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
        if field == 3 and isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if field == 4:
            return str(bool(value))
    return ""


def _isbytes_of(value: object) -> bool:
    return isinstance(value, bytes)
