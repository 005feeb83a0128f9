"""As much of protobuf's wire format as reading a stranger's files needs."""

from collections.abc import Iterator
from typing import Any


class Malformed(ValueError):
    """Bytes are no message."""


def fields_of(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a message: numbers of varints, bytes of all else.

    Raises:
        Malformed: The bytes are no message.
    """
    place, end = 0, len(data)
    while place < end:
        key, place = varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = varint(data, place)
            yield key >> 3, value
            continue
        if kind == 1:
            length = 8
        elif kind == 5:
            length = 4
        elif kind == 2:
            length, place = varint(data, place)
        else:
            raise Malformed(f"a field of the kind {kind}")
        if place + length > end:
            raise Malformed("a field that is longer than its message")
        yield key >> 3, data[place : place + length]
        place += length


def bytes_of(data: bytes, wanted: int) -> bytes:
    """Return the last field of this number that is bytes; empty when there is none."""
    found = b""
    for field, value in fields_of(data):
        if field == wanted and isinstance(value, bytes):
            found = value
    return found


def varint(data: bytes, place: int) -> tuple[int, int]:
    """Read a number of up to 64 bits; return it, and where what follows begins.

    Raises:
        Malformed: It has no end.
    """
    value = shift = 0
    while True:
        if place >= len(data) or shift > 63:
            raise Malformed("a number without an end")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
