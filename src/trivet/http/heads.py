"""What requests bring besides their bodies: how much it may be, and how long it may take.

The parser keeps the head of a request until it is whole, and what follows a body's last chunk,
whoever sends it; and it puts a long line together again at each part of it. Without an end they
would take all memory and all time before anybody was asked for a token, and connections that
never say anything would be as many as there may be.
"""

import asyncio
from collections.abc import Callable
from typing import Final

MOST_HEAD_BYTES: Final = 1 << 17
_PATIENCE_S: Final = 60.0
_TEXT: Final = f"The head of the request is larger than {MOST_HEAD_BYTES} bytes."
_TOO_LARGE: Final = (
    "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    f"content-length: {len(_TEXT)}\r\nconnection: close\r\n\r\n{_TEXT}"
).encode()


class HeadWatch:
    """Watches what comes by one connection, and closes it when a head is too large or too late.

    Args:
        transport: The connection; of the running event loop.
        is_answering: Says whether a request is being answered: then its body has limits of its
            own, and the next one may wait.
    """

    def __init__(self, transport: asyncio.Transport, is_answering: Callable[[], bool]) -> None:
        self._transport = transport
        self._is_answering = is_answering
        self._loop = asyncio.get_running_loop()
        self._size_bytes = 0
        self._is_open = False
        self._has_body = False
        self._timer: asyncio.TimerHandle | None = None
        self._wait()

    def begin(self) -> None:
        """Take note that a request begins."""
        self._is_open = True
        self._size_bytes = 0

    def body(self) -> None:
        """Take note of some of its body."""
        self._has_body = True

    def end(self) -> None:
        """Take note that a request is whole."""
        self._is_open = False
        self.stop()

    def stop(self) -> None:
        """Wait for nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def count(self, size_bytes: int) -> None:
        """Count bytes that were parsed since the last call."""
        has_body, self._has_body = self._has_body, False
        if not self._is_open:
            return
        self._size_bytes = 0 if has_body else self._size_bytes + size_bytes
        if self._size_bytes > MOST_HEAD_BYTES:
            self.stop()
            self._transport.write(_TOO_LARGE)
            self._transport.close()
        elif self._timer is None:
            self._wait()

    def _wait(self) -> None:
        self._timer = self._loop.call_later(_PATIENCE_S, self._give_up)

    def _give_up(self) -> None:
        if self._is_answering():
            self._wait()
        else:
            self._timer = None
            self._transport.close()
