"""One time limit for a whole exchange over the network, however many steps it takes.

A socket's own time limit holds for each read: whoever sends a byte now and then is waited for
without end. A deadline shuts the socket down, which wakes whoever waits for it.
"""

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

_AGAIN_S = 0.2


class Deadline:
    """Shuts the sockets that are under watch when the time of a `with` block is over.

    Args:
        seconds: How long the block may take.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._over = threading.Event()
        self._holders: list[Any] = []
        self._thread = threading.Thread(target=self._wait, name="deadline", daemon=True)

    @property
    def has_passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._end

    def watch(self, holder: object) -> None:
        """Watch over whatever socket `holder.sock` is when the time is over."""
        self._holders.append(holder)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _wait(self) -> None:
        wait_s = self._end - time.monotonic()
        while not self._over.wait(max(0.0, wait_s)):
            for holder in list(self._holders):
                _shut(getattr(holder, "sock", None))
            wait_s = _AGAIN_S  # a connection that was just made is shut at the next turn


def _shut(sock: object) -> None:
    if isinstance(sock, socket.socket):
        with contextlib.suppress(OSError):
            # The plain one's: that of a TLS socket takes it apart under its reader's hands.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
