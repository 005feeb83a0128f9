"""The ASGI application that serving and web share: guards, routes, bodies, errors, and no more.

Written by hand because a framework's layers cost ten times what a small model does, and because
here the order cannot be got wrong: door, route, permission, body, handler, for every request.
"""

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from traceback import print_exception
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from trivet.access.permissions import Principal
from trivet.core.errors import Invalid, TrivetError
from trivet.http.bodies import BodyStream, Receive, read_body, unpack
from trivet.http.errors import error_body, error_headers, status_of
from trivet.http.guards import (
    ANONYMOUS,
    DoorPolicy,
    PrincipalOf,
    admit,
    check_body,
    check_door,
    read_visitor,
)
from trivet.http.routes import RouteTable
from trivet.http.sending import Parts, Send, close_parts, send_parts

Scope = dict[str, Any]
Headers = list[tuple[bytes, bytes]]

_BODILESS: Final = frozenset({"GET", "HEAD"})

encode_json = msgspec.json.Encoder(enc_hook=str).encode


class Request(msgspec.Struct, frozen=True):
    """What a handler gets."""

    values: dict[str, str]
    """Values of the path's parameters."""
    query_string: bytes
    headers: Iterable[tuple[bytes, bytes]]
    body: bytes
    """The whole body; empty on a route that takes a stream."""
    principal: Principal
    method: str = "GET"
    path: str = "/"
    stream: BodyStream | None = None
    """The body piece by piece, on a route that says so."""
    scheme: str = "http"
    address: str = ""
    """Where the connection comes from."""

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

    body: bytes = b""
    status: int = 200
    headers: Headers = []
    content_type: bytes = b"application/json"
    after: Callable[[], None] | None = None
    parts: Parts | None = None
    """Sent instead of a body, each once the client has taken the one before."""
    length: int = 0
    """How many bytes the parts are together."""


class Dialect(msgspec.Struct, frozen=True):
    """How errors are said to clients of another tongue, unknown routes among them."""

    paths: re.Pattern[str]
    """Matches the beginning of the paths at which it is spoken."""
    say: Callable[[TrivetError], tuple[int, Any]]
    """Returns the status and the JSON-ready body of an error; unknown routes have the codes
    `no-route` and `other-method`."""


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
        principal_of: Who holds a token. Paths may name a project: their parameter `{project}`.
        observer: Told of every request.
        dialects: Who is told of errors in another form than the house's; the first that fits.
        startup: Awaited before the first request.
        shutdown: Awaited after the last.
    """

    def __init__(
        self,
        table: RouteTable[Handler],
        *,
        policy: DoorPolicy,
        principal_of: PrincipalOf,
        observer: Observer | None = None,
        dialects: Sequence[Dialect] = (),
        startup: Callable[[], Awaitable[None]] | None = None,
        shutdown: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.table = table
        self._policy = policy
        self._principal_of = principal_of
        self._returns = frozenset(route.path for route in table.routes if route.is_return)
        self._observer = observer or Observer()
        self._dialects = tuple(dialects)
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
        if scope["path"].startswith("//"):
            scope = self._with_one_slash(scope)
        try:
            reply = await self._answer(scope, receive)
        except TrivetError as error:
            reply = self._say(scope, error)
        except Exception as error:  # noqa: BLE001  # the HTTP edge: nobody above can answer
            self._fail(error)
            reply = self._say(scope, TrivetError(f"the server failed: {type(error).__name__}"))
        if reply.parts is not None or scope["method"] == "HEAD":
            await self._send_otherwise(reply, scope, receive, send)
        else:
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

    def _with_one_slash(self, scope: Scope) -> Scope:
        """Mend the path of a client of another tongue whose base address ends with a slash."""
        path = f"/{scope['path'].lstrip('/')}"
        is_theirs = any(dialect.paths.match(path) for dialect in self._dialects)
        return {**scope, "path": path} if is_theirs else scope

    async def _send_otherwise(
        self, reply: Reply, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send an answer in parts, or the head of one alone."""
        parts = reply.parts
        length = len(reply.body) if parts is None else reply.length
        headers = [
            (b"content-type", reply.content_type),
            (b"content-length", b"%d" % length),
            *reply.headers,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        if scope["method"] == "HEAD" or parts is None:
            if parts is not None:
                await close_parts(parts)
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            await send_parts(parts, length, receive, send, self._policy.patience_s)
        except Exception as error:  # noqa: BLE001  # the head is sent: only a cut connection tells the client
            self._fail(error)

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        method: str = scope["method"]
        path: str = scope["path"]
        visitor = read_visitor(scope["headers"])
        changes = method not in _BODILESS
        check_door(visitor, self._policy, changes=changes, is_return=path in self._returns)
        match = self.table.match(method, path)
        route = match.route
        is_own = self._policy.is_own
        if visitor.token is None and is_own is not None and is_own(scope):
            visitor = msgspec.structs.replace(visitor, token="", way="own")
        client: tuple[str, int] | None = scope.get("client")
        address = "" if client is None else client[0]
        principal = admit(
            visitor,
            route.permission,
            self._principal_of,
            project=match.parameters.get("project"),
            address=address,
            changes=changes,
        )
        if not isinstance(principal, Principal):
            principal = await principal
        if principal is not ANONYMOUS:
            principal.demand(route.permission)
        limit_bytes = route.max_body_bytes or self._policy.max_body_bytes
        length = visitor.length
        if visitor.encoding is not None or (length is not None and length > limit_bytes):
            check_body(visitor, limit_bytes, route.encodings)
        body = b""
        stream = None
        if route.is_streamed:
            patience_s = self._policy.patience_s
            stream = BodyStream(receive, limit_bytes, patience_s, visitor.encoding)
        elif changes:
            body = await read_body(receive, limit_bytes, self._policy.patience_s)
            if visitor.encoding is not None:
                body = await asyncio.to_thread(unpack, body, visitor.encoding, limit_bytes)
        return await route.handler(
            Request(
                match.parameters,
                scope["query_string"],
                scope["headers"],
                body,
                principal,
                method,
                path,
                stream,
                scope.get("scheme", "http"),
                address,
            )
        )

    def _say(self, scope: Scope, error: TrivetError) -> Reply:
        status, body = status_of(error), error_body(error)
        for dialect in self._dialects:
            if dialect.paths.match(scope["path"]):
                status, body = dialect.say(error)
                break
        return Reply(encode_json(body), status=status, headers=error_headers(error))

    def _fail(self, error: Exception) -> None:
        self._observer.fail(error)
        # The client learns nothing of the inside; whoever runs the server learns the line.
        print_exception(error, file=sys.stderr)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        if self._startup:
            await self._startup()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self._shutdown:
            await self._shutdown()
        await send({"type": "lifespan.shutdown.complete"})


def json_reply(value: Any, *, after: Callable[[], None] | None = None) -> Reply:  # noqa: ANN401  # whatever a service answers
    """Answer a value as JSON."""
    return Reply(encode_json(value), after=after)
