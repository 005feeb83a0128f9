"""Asking a server: the port between whoever has something to send and the network."""

from typing import BinaryIO, Protocol


class Courier(Protocol):
    """Carries requests to one server, one at a time, and brings its answers."""

    def ask(self, method: str, path: str, body: bytes | BinaryIO = b"") -> bytes:
        """Send a request and return the body of the answer.

        It may reach the server twice when a connection breaks: ask only for what may happen twice.

        Args:
            method: Such as `POST`.
            path: Behind the server's address, beginning with `/`.
            body: JSON; or a file that can be read from its beginning again, as it is.

        Raises:
            Unavailable: Nobody answered in time, or the server cannot do it now.
            TrivetError: What the server says is wrong, as the error that it was there.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. Asking again makes another."""
        ...
