"""The ASGI application that serving and web share: guards, routes, bodies, errors, and no more.

Written by hand because a framework's layers cost ten times what a small model does, and because
here the order cannot be got wrong: door, route, permission, body, handler, for every request.
"""

import asyncio
import sys
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from traceback import print_exception
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from trivet.access.permissions import Principal
from trivet.core.errors import Invalid, TrivetError, Unavailable
from trivet.http.errors import error_body, status_of
from trivet.http.guards import DoorPolicy, admit, check_door, read_visitor, too_large
from trivet.http.routes import RouteTable

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_BODY_S = 30.0

encode_json = msgspec.json.Encoder(enc_hook=str).encode


class Request(msgspec.Struct, frozen=True):
    """What a handler gets."""

    values: dict[str, str]
    """Values of the path's parameters."""
    query_string: bytes
    headers: Iterable[tuple[bytes, bytes]]
    body: bytes
    principal: Principal

    def query(self) -> dict[str, str]:
        """Return the query's parameters.

        Raises:
            Invalid: One is given twice.
        """
        pairs = parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True)
        found = dict(pairs)
        if len(found) != len(pairs):
            raise Invalid("a query parameter is given twice; expected once", code="bad-query")
        return found


class Reply(msgspec.Struct, frozen=True):
    """What a handler gives back. `after` runs once the answer is on its way."""

    body: bytes
    status: int = 200
    headers: Headers = []
    content_type: bytes = b"application/json"
    after: Callable[[], None] | None = None


Handler = Callable[[Request], Awaitable[Reply]]


class Observer:
    """Told of every request; the default forgets it."""

    def count(self, status: int, nanoseconds: int) -> None:
        """Note an answered request and how long it took."""

    def fail(self, error: BaseException) -> None:
        """Note an error that nobody foresaw."""


class Application:
    """A guarded ASGI application.

    Args:
        table: The routes; each declares its permission.
        policy: What the guards go by.
        principal_of: Who holds a token.
        observer: Told of every request.
        startup: Awaited before the first request.
        shutdown: Awaited after the last.
    """

    def __init__(
        self,
        table: RouteTable[Handler],
        *,
        policy: DoorPolicy,
        principal_of: Callable[[str], Principal],
        observer: Observer | None = None,
        startup: Callable[[], Awaitable[None]] | None = None,
        shutdown: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.table = table
        self._policy = policy
        self._principal_of = principal_of
        self._observer = observer or Observer()
        self._startup = startup
        self._shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak ASGI: http and lifespan; a web socket is closed."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter_ns()
        try:
            reply = await self._answer(scope, receive)
        except TrivetError as error:
            reply = _error(error)
        except Exception as error:  # noqa: BLE001  # the HTTP edge: nobody above can answer
            self._observer.fail(error)
            # The client learns nothing of the inside; whoever runs the server learns the line.
            print_exception(error, file=sys.stderr)
            reply = _error(TrivetError(f"the server failed: {type(error).__name__}"))
        headers = [
            (b"content-type", reply.content_type),
            (b"content-length", b"%d" % len(reply.body)),
            *reply.headers,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})
        self._observer.count(reply.status, time.perf_counter_ns() - started)
        if reply.after is not None:
            reply.after()

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        method: str = scope["method"]
        visitor = read_visitor(scope["headers"])
        check_door(visitor, self._policy, changes=method != "GET")
        match = self.table.match(method, scope["path"])
        principal = admit(visitor, match.route.permission, self._principal_of)
        body = await self._read_body(receive) if method != "GET" else b""
        return await match.route.handler(
            Request(match.parameters, scope["query_string"], scope["headers"], body, principal)
        )

    async def _read_body(self, receive: Receive) -> bytes:
        reading = self._body(receive)
        try:
            # Begun by hand: nearly every body is there already, and a timer costs a tenth of all
            # the time that a small model's answer takes.
            waits_for = reading.send(None)
        except StopIteration as done:
            return done.value
        try:
            async with asyncio.timeout(_BODY_S):
                return await _resumed(reading, waits_for)
        except TimeoutError as error:
            raise Invalid(
                f"the body was not whole after {_BODY_S:.0f} s", code="too-slow"
            ) from error

    async def _body(self, receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            return body
        parts = [body]
        size = len(body)
        while message.get("more_body", False):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Invalid("the client went away before its body was whole", code="bad-body")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._policy.max_body_bytes:
                raise too_large(self._policy.max_body_bytes)
        return b"".join(parts)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        if self._startup:
            await self._startup()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self._shutdown:
            await self._shutdown()
        await send({"type": "lifespan.shutdown.complete"})


@types.coroutine
def _resumed(begun: Coroutine[Any, Any, bytes], waits_for: object) -> Generator[object, Any, bytes]:
    """Await a coroutine that was begun by hand and waits for something."""
    try:
        yield waits_for
    except BaseException:
        begun.close()
        raise
    return (yield from begun.__await__())


def json_reply(value: Any, *, after: Callable[[], None] | None = None) -> Reply:  # noqa: ANN401  # whatever a service answers
    """Answer a value as JSON."""
    return Reply(encode_json(value), after=after)


def _error(error: TrivetError) -> Reply:
    headers: Headers = [(b"retry-after", b"1")] if isinstance(error, Unavailable) else []
    return Reply(encode_json(error_body(error)), status=status_of(error), headers=headers)
