"""Files as answers: whole or in one range, with the headers that let a client go on where it was.

As RFC 9110 says, sections 13 and 14. A client that asks for several ranges gets the whole file,
which it must expect.
"""

import asyncio
import re
from collections.abc import Callable
from typing import BinaryIO, Final

import msgspec

from trivet.core.errors import Corrupt, Invalid
from trivet.http.application import Headers, Reply, Request

_PART_BYTES: Final = 1 << 19
_RANGE = re.compile(rb"bytes=([0-9]{0,18})-([0-9]{0,18})")


class FileReply(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file before it is opened."""

    size_bytes: int
    tag: str
    """Changes whenever the content does; a digest."""
    content_type: bytes
    headers: Headers = []


async def reply_with_file(
    request: Request, file: FileReply, open_file: Callable[[], BinaryIO]
) -> Reply:
    """Answer a GET or HEAD with a file.

    Args:
        request: What was asked; its headers may name a range, or what the client has already.
        file: What is known of the file.
        open_file: Opens it; called in a thread, and only when its bytes are wanted.

    Raises:
        Invalid: The range begins behind the end (code `bad-range`).
    """
    asked = {name.lower(): value for name, value in request.headers}
    tag = f'"{file.tag}"'.encode()
    headers = [(b"accept-ranges", b"bytes"), (b"etag", tag), *file.headers]
    if _names(asked.get(b"if-none-match"), tag):
        return Reply(b"", status=304, headers=headers, content_type=file.content_type)
    span = None
    # A range of what the client has the beginning of; of anything else it would be a wrong piece.
    if request.method == "GET" and asked.get(b"if-range", tag) == tag:
        span = read_range(asked.get(b"range"), file.size_bytes)
    status, first, last = 200, 0, file.size_bytes - 1
    if span is not None:
        status, (first, last) = 206, span
        place = f"bytes {first}-{last}/{file.size_bytes}"
        headers.append((b"content-range", place.encode()))
    length = last - first + 1
    parts = FileParts(open_file, first, length)
    body = await asyncio.to_thread(parts.begin) if request.method == "GET" else None
    return Reply(
        body or b"",
        parts=parts if body is None else None,
        length=length,
        status=status,
        headers=headers,
        content_type=file.content_type,
    )


class FileParts:
    """A stretch of a file in parts of half a mebibyte; a file that ends early ends them.

    Args:
        open_file: Opens the file.
        first: Where the stretch begins, in bytes.
        length: How many bytes it has.
    """

    def __init__(self, open_file: Callable[[], BinaryIO], first: int, length: int) -> None:
        self._open_file = open_file
        self._file: BinaryIO | None = None
        self._first = first
        self._left = length

    def begin(self) -> bytes | None:
        """Open the file where the stretch begins; return all of it when it is one part.

        Raises:
            Corrupt: The file ends early.
        """
        self._file = self._open_file()
        self._file.seek(self._first)
        if self._left > _PART_BYTES:
            return None
        whole = self._file.read(self._left)
        self.close()
        if len(whole) < self._left:
            raise Corrupt("a file is shorter than was recorded", code="bad-length")
        return whole

    def __iter__(self) -> "FileParts":
        return self

    def __next__(self) -> bytes:
        part = self._file.read(min(_PART_BYTES, self._left)) if self._file and self._left else b""
        if not part:
            raise StopIteration
        self._left -= len(part)
        return part

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def read_range(value: bytes | None, size_bytes: int) -> tuple[int, int] | None:
    """Return the first and the last byte that a Range header asks for; None: all of them.

    What is no single range of bytes is as if it were not there.

    Raises:
        Invalid: It begins behind the end, or asks for the last no bytes (code `bad-range`).
    """
    found = _RANGE.fullmatch(value.strip()) if value else None
    if found is None or found[0] == b"bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        start, end = max(0, size_bytes - int(last)), size_bytes - 1
    else:
        start, end = int(first), min(int(last) if last else size_bytes - 1, size_bytes - 1)
        if last and int(last) < start:
            return None
    if start > end:
        raise Invalid(
            f"the range begins behind the end of {size_bytes} bytes",
            code="bad-range",
            hint="Ask for the file without a range to learn its size.",
            detail={"size_bytes": size_bytes},
        )
    return start, end


def _names(value: bytes | None, tag: bytes) -> bool:
    """Say whether an If-None-Match header names what there is."""
    if value is None:
        return False
    given = [item.strip().removeprefix(b"W/") for item in value.split(b",")]
    return tag in given or given == [b"*"]
