"""Connections of the server: uvicorn's, with joined writes, and heads of requests within limits."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trivet.http.heads import HeadWatch
from trivet.http.joining import JoinedWrites


class Connection(HttpToolsProtocol):
    """One connection of a client."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to watch what comes, and to join what leaves."""
        joined = JoinedWrites(transport)
        super().connection_made(joined)
        self.head = HeadWatch(joined, self.is_answering)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of what waits."""
        self.head.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and count it."""
        super().data_received(data)
        self.head.count(len(data))

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.head.begin()
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        """Take some of its body."""
        self.head.body()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self.head.end()
        super().on_message_complete()

    def is_answering(self) -> bool:
        """Say whether a request is not yet answered."""
        return bool(self.cycle) and not self.cycle.response_complete
