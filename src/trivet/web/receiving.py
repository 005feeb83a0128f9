"""From a body that arrives piece by piece to a store that blocks: a few threads do the waiting.

A thread is taken only while bytes are hashed and written, so clients that dawdle hold up nobody.
"""

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Generic, ParamSpec, Protocol, TypeVar

from trivet.core.errors import Invalid
from trivet.http.application import Request

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_BLOCK_BYTES: Final = 1 << 20
_MOST_AT_ONCE: Final = 32
"""Enough that small files, each of which waits for the disk, wait together."""


class Writer(Protocol[T_co]):
    """Something on its way into a store."""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        ...

    def finish(self) -> T_co:
        """Store what was written."""
        ...

    def discard(self) -> None:
        """Leave nothing behind, unless it is finished."""
        ...


class Threads:
    """The threads in which requests wait for the stores."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="artifacts")

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a call answers that may wait."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(call, *args, **kwargs))

    async def receive(
        self, request: Request, put: Callable[[bytes], T], begin: Callable[[], Writer[T]]
    ) -> T:
        """Store a streamed body; whatever goes wrong, nothing is left behind.

        While a block is written the next one arrives; no more than these two are in memory.

        Args:
            request: Whose body it is.
            put: Stores a body of less than a mebibyte, which needs one thread once.
            begin: Begins to store any other.

        Raises:
            Invalid: The body is too large or too slow, or the client went away.
        """
        if request.stream is None:
            raise Invalid("the route takes no stream", code="bad-route")
        blocks = _blocks(request.stream)
        block = await anext(blocks)
        if len(block) < _BLOCK_BYTES:  # all of it, and one thread does the rest
            return await self.run(put, block)
        writer = _OneByOne(await self.run(begin))
        writing = asyncio.ensure_future(self.run(writer.write, block))
        try:
            async for block in blocks:
                await writing
                writing = asyncio.ensure_future(self.run(writer.write, block))
            await writing
            return await self.run(writer.finish)
        finally:
            await asyncio.gather(writing, return_exceptions=True)
            await asyncio.shield(self.run(writer.discard))


class _OneByOne(Generic[T]):
    """A writer that is never used by two threads at once.

    A request that is cancelled does not wait for the thread that writes for it.
    """

    def __init__(self, writer: Writer[T]) -> None:
        self._writer = writer
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        with self._lock:
            self._writer.write(data)

    def finish(self) -> T:
        """Store what was written."""
        with self._lock:
            return self._writer.finish()

    def discard(self) -> None:
        """Leave nothing behind, unless it is finished."""
        with self._lock:
            self._writer.discard()


async def _blocks(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Join pieces to blocks of at least a mebibyte, of which the last may be smaller or empty."""
    gathered: list[bytes] = []
    size = 0
    async for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= _BLOCK_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)
