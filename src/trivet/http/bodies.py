"""Bodies on their way in: whole or piece by piece, within limits of size and of patience."""

import asyncio
import types
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any, Final

from trivet.core.errors import Invalid
from trivet.http.guards import too_large

Receive = Callable[[], Awaitable[dict[str, Any]]]

ENCODINGS: Final = frozenset({b"gzip", b"deflate"})
"""Values of `Content-Encoding` that a route may allow."""
_LEAST_BYTES_S: Final = 1024
"""A stream that stays slower than this, after its first moments, is cut off."""
_PIECE_BYTES: Final = 1 << 20
_GZIP_BITS: Final = 31
_ZLIB_BITS: Final = 15
_RAW_BITS: Final = -15


async def read_body(receive: Receive, limit_bytes: int, patience_s: float) -> bytes:
    """Read a whole body.

    Raises:
        Invalid: It is larger than the limit (code `too-large`), not whole in time (`too-slow`), or
            the client went away (`bad-body`).
    """
    reading = _whole(receive, limit_bytes)
    try:
        # Begun by hand: nearly every body is there already, and a timer costs a tenth of all
        # the time that a small model's answer takes.
        waits_for = reading.send(None)
    except StopIteration as done:
        return done.value
    try:
        async with asyncio.timeout(patience_s):
            return await _resumed(reading, waits_for)
    except TimeoutError as error:
        raise Invalid(
            f"the body was not whole after {patience_s:.0f} s", code="too-slow"
        ) from error


async def _whole(receive: Receive, limit_bytes: int) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    size = len(body)
    if size > limit_bytes:
        raise too_large(limit_bytes)
    if not message.get("more_body", False):
        if not body and message["type"] == "http.disconnect":
            raise _gone()
        return body
    parts = [body]
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _gone()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit_bytes:
            raise too_large(limit_bytes)
    return b"".join(parts)


@types.coroutine
def _resumed(begun: Coroutine[Any, Any, bytes], waits_for: object) -> Generator[object, Any, bytes]:
    """Await a coroutine that was begun by hand and waits for something."""
    try:
        yield waits_for
    except BaseException:
        begun.close()
        raise
    return (yield from begun.__await__())


def unpack(body: bytes, encoding: bytes, limit_bytes: int) -> bytes:
    """Unpack a body that was sent compressed.

    Raises:
        Invalid: It would be larger than the limit (code `too-large`), or is not what its encoding
            says (`bad-body`).
    """
    parts: list[bytes] = []
    size = 0
    unpacker = Unpacker(encoding)
    for part in unpacker.feed(body):
        size += len(part)
        if size > limit_bytes:
            raise too_large(limit_bytes)
        parts.append(part)
    unpacker.finish()
    return b"".join(parts)


class BodyStream:
    """A body that is taken piece by piece: iterate it, once.

    Nothing is gathered. The client is read no further until the next piece is asked for, and the
    time that whoever asks takes is not the client's.

    Args:
        receive: Where the pieces come from.
        limit_bytes: The most bytes of all pieces, unpacked.
        patience_s: The longest silence, and how long a body may be slow at its beginning.
        encoding: `gzip`, `deflate`, or None when the bytes are as they are.
    """

    def __init__(
        self, receive: Receive, limit_bytes: int, patience_s: float, encoding: bytes | None = None
    ) -> None:
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._patience_s = patience_s
        self._unpacker = Unpacker(encoding) if encoding else None
        self._waited_s = 0.0
        self._received_bytes = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the pieces; none is empty.

        Raises:
            Invalid: As `read_body` says.
        """
        size = 0
        more = True
        while more:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise _gone()
            more = message.get("more_body", False)
            for piece in self._unpacked(message.get("body", b"")):
                size += len(piece)
                if size > self._limit_bytes:
                    raise too_large(self._limit_bytes)
                yield piece
        if self._unpacker is not None:
            self._unpacker.finish()

    async def _next(self) -> dict[str, Any]:
        allowed_s = self._patience_s + self._received_bytes / _LEAST_BYTES_S - self._waited_s
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(max(0.0, min(self._patience_s, allowed_s))):
                message = await self._receive()
        except TimeoutError as error:
            raise Invalid(
                f"the body came to a halt, or came slower than {_LEAST_BYTES_S} bytes per second",
                code="too-slow",
                hint="Send it again over a better connection.",
            ) from error
        self._waited_s += clock() - began
        self._received_bytes += len(message.get("body", b""))
        return message

    def _unpacked(self, data: bytes) -> Iterator[bytes]:
        if self._unpacker is not None:
            yield from self._unpacker.feed(data)
        elif data:
            yield data


class Unpacker:
    """Unpacks `gzip` (RFC 1952, members one after the other) or `deflate` as it arrives.

    `deflate` means the zlib format (RFC 1950); some clients send the bare one (RFC 1951) under
    the same name, so that is read, too.
    """

    def __init__(self, encoding: bytes) -> None:
        self._is_gzip = encoding == b"gzip"
        self._state: Any | None = None
        self._held = b""
        self._is_over = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the next bytes unpack to, in pieces of at most 1 MiB.

        Raises:
            Invalid: They are not what the encoding says.
        """
        data, self._held = self._held + data, b""
        try:
            while data:
                state = self._state = self._state or self._begin(data)
                if state is None:
                    self._held = data
                    return
                while piece := state.decompress(data, _PIECE_BYTES):
                    yield piece
                    data = state.unconsumed_tail
                data = state.unused_data
                if state.eof:
                    self._state = None
                    self._is_over = True
        except zlib.error as error:
            raise _not_packed(str(error)) from error

    def _begin(self, data: bytes) -> Any | None:  # noqa: ANN401  # zlib names no type
        """Begin a member; None when there are too few bytes to tell its form."""
        if self._is_gzip:
            return zlib.decompressobj(_GZIP_BITS)
        if self._is_over:
            raise _not_packed("bytes follow its end")
        if len(data) < 2:
            return None
        is_zlib = data[0] & 15 == 8 and (data[0] << 8 | data[1]) % 31 == 0
        return zlib.decompressobj(_ZLIB_BITS if is_zlib else _RAW_BITS)

    def finish(self) -> None:
        """Say that nothing more comes.

        Raises:
            Invalid: The end is missing.
        """
        if self._state is not None or self._held:
            raise _not_packed("its end is missing")


def _not_packed(why: str) -> Invalid:
    return Invalid(
        f"the body is not what its Content-Encoding says: {why}",
        code="bad-body",
        hint="Send it without Content-Encoding.",
    )


def _gone() -> Invalid:
    return Invalid("the client went away before its body was whole", code="bad-body")
