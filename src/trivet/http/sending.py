"""Answers on their way out in parts: no faster than the client reads, and no longer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast

from trivet.core.errors import Corrupt
from trivet.http.bodies import Receive

Send = Callable[[dict[str, Any]], Awaitable[None]]
Parts = AsyncIterator[bytes] | Iterator[bytes]
"""The parts of an answer, in order. A plain iterator is read in a thread: it may wait for a disk.
One that has `close` or `aclose` is closed, however sending ends."""


async def send_parts(
    parts: Parts, length: int, receive: Receive, send: Send, patience_s: float
) -> bool:
    """Send the parts of an answer whose head was sent; say whether all of them were.

    Each part waits until the client has taken the one before. Whoever gets False sends nothing
    more: the server then closes the connection, and the client sees that the rest is missing.

    Args:
        parts: The parts; they are closed here.
        length: How many bytes they are together, as the head said.
        receive: Tells when the client goes away.
        send: Where they go.
        patience_s: How long the client may take nothing.

    Raises:
        Corrupt: The parts are more or fewer bytes than was said.
    """
    gone = asyncio.ensure_future(_gone(receive))
    sent = 0
    try:
        while (part := await _next(parts)) is not None and sent + len(part) <= length:
            sent += len(part)
            async with asyncio.timeout(patience_s):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            if gone.done():
                return False
        if part is not None or sent != length:
            raise Corrupt(
                f"an answer was said to have {length} bytes and has others", code="bad-length"
            )
        await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        return False
    finally:
        gone.cancel()
        await close_parts(parts)
    return True


async def close_parts(parts: Parts) -> None:
    """Close parts, whether or not they were read."""
    if hasattr(parts, "aclose"):
        await cast("Any", parts).aclose()
    elif hasattr(parts, "close"):
        await asyncio.to_thread(cast("Any", parts).close)


async def _next(parts: Parts) -> bytes | None:
    if isinstance(parts, AsyncIterator):
        return await anext(parts, None)
    return await asyncio.to_thread(next, parts, None)


async def _gone(receive: Receive) -> None:
    """Return once the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass
