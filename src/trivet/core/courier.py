"""Asking a server: the port between whoever has something to send and the network."""

from typing import Final, Protocol

LARGE_ANSWER: Final = "large-answer"
"""The code of the error that an answer is too large to be taken."""


class Upload(Protocol):
    """Bytes to send, which can be read from their beginning again."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes; none at the end."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go somewhere, as in a file; return where."""
        ...


class Courier(Protocol):
    """Carries requests to one server, one at a time, and brings its answers."""

    def ask(self, method: str, path: str, body: bytes | Upload = b"") -> bytes:
        """Send a request and return the body of the answer.

        It may reach the server twice when a connection breaks: ask only for what may happen twice.

        Args:
            method: Such as `POST`.
            path: Behind the server's address, beginning with `/`.
            body: JSON; or a file that can be read from its beginning again, as it is.

        Raises:
            Unavailable: Nobody answered in time, the server cannot do it now, or the answer is
                too large (code `large-answer`).
            TrivetError: What the server says is wrong, as the error that it was there.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. Asking again makes another."""
        ...
