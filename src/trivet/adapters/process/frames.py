"""Frames on a socket: a tag of one byte, the number of the call, a length, and so many bytes.

What a worker sends carries the number of the call that it belongs to: what is left over from an
earlier call is nobody's answer.
"""

import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

_HEADER = struct.Struct(">cQQ")
_CHUNK_BYTES = 1 << 20

WORK: Final = b"w"
"""To a worker: work, as MessagePack."""
WORD: Final = b"t"
"""From a worker: something the entry tells."""
RESULT: Final = b"r"
"""From a worker: what the entry returned."""
FAILED: Final = b"f"
"""From a worker: why the entry could not be called, or what it raised, as text."""
LEAVES: Final = b"l"
"""From a worker, before its answer: the work changed this process, which takes no more of it."""
STALE: Final = b"s"
"""From a worker: it has loaded modules that were edited since, and did not begin."""


class Frame(NamedTuple):
    """What was sent."""

    tag: bytes
    call: int
    payload: bytes


def send(channel: socket.socket, tag: bytes, call: int, payload: bytes = b"") -> None:
    """Send one frame.

    Raises:
        OSError: The other side is gone.
    """
    channel.sendall(_HEADER.pack(tag, call, len(payload)) + payload)


def receive(channel: socket.socket) -> Frame | None:
    """Wait for one frame; None when the other side is gone."""
    header = _exactly(channel, _HEADER.size)
    if header is None:
        return None
    tag, call, size = _HEADER.unpack(header)
    payload = _exactly(channel, size)
    return None if payload is None else Frame(tag, call, payload)


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        try:
            more = channel.recv(min(size - len(data), _CHUNK_BYTES))
        except ConnectionError:
            return None
        if not more:
            return None
        data += more
    return bytes(data)


class Inbox:
    """Puts frames together from whatever pieces arrive."""

    def __init__(self) -> None:
        self._data = bytearray()

    def take(self, more: bytes) -> Iterator[Frame]:
        """Add bytes; yield the frames that are complete with them."""
        self._data += more
        while len(self._data) >= _HEADER.size:
            tag, call, size = _HEADER.unpack_from(self._data)
            end = _HEADER.size + size
            if len(self._data) < end:
                return
            payload = bytes(self._data[_HEADER.size : end])
            del self._data[:end]
            yield Frame(tag, call, payload)
