"""Calls to a server of MLflow: JSON and files over HTTP, one connection for each thread."""

import base64
import http.client
import json
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO, Final, TypeVar, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

import msgspec

from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound, TrivetError, Unavailable

_TIMEOUT_S: Final = 120.0
_IDLE_S: Final = 1.0
"""How long a connection may rest and still be used; servers close theirs after some seconds."""
_ATTEMPTS: Final = 5
_LATER: Final = frozenset({429, 502, 503, 504})
_MOST_ANSWER_BYTES: Final = 512 << 20
_MOST_SHOWN: Final = 300
_AT_ONCE: Final = 6

T = TypeVar("T")


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a server is told of who asks: a token, or a user with a password, or nothing."""

    token: str = ""
    user: str = ""
    password: str = ""


class Caller:
    """Calls one server.

    Args:
        url: Its address, with or without a path below which it answers. A user and a password in
            it are taken out, and win over the credentials.
        credentials: Sent with each call, to this server alone: no redirection is followed.

    Raises:
        Invalid: It is no address of http or https.
    """

    def __init__(self, url: str, credentials: Credentials) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Invalid(
                "the address is none of http or https with a host",
                code="bad-url",
                hint="Write it as http://server:5000.",
            )
        self._host, self._port = parts.hostname, parts.port
        self._is_secure = parts.scheme == "https"
        self._root = parts.path.rstrip("/")
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.name = f"{parts.scheme}://{host}{port}{self._root}"
        if parts.username:
            credentials = Credentials(
                user=unquote(parts.username), password=unquote(parts.password or "")
            )
        self._headers = _headers(credentials)
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._kept: list[http.client.HTTPConnection] = []

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask for JSON; values of the query that are lists are repeated."""
        return self._json("GET", f"{path}?{urlencode(query, doseq=True)}" if query else path)

    def post(self, path: str, body: Mapping[str, Any], method: str = "POST") -> dict[str, Any]:
        """Send JSON, and return what is answered."""
        return self._json(method, path, json.dumps(body).encode())

    def open(self, path: str, query: Mapping[str, str] | None = None) -> BinaryIO:
        """Open a file for reading; the bytes come as they are asked for.

        Raises:
            NotFound: There is no such file.
            Unavailable: The server does not answer.
        """
        connection = self._connection()  # of its own: it is busy until the file was read
        whole = quote(path, safe="/") + (f"?{urlencode(query)}" if query else "")
        response = self._tried(connection, "GET", whole, None, {})
        if response.status != http.client.OK:
            raise self._refused(response.status, response.read(_MOST_ANSWER_BYTES))
        return cast("BinaryIO", _Body(response, connection))

    def put(self, path: str, stream: BinaryIO, size_bytes: int) -> None:
        """Send a file."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size_bytes),
        }
        connection = self._connection()
        try:
            response = self._tried(connection, "PUT", quote(path, safe="/"), stream, headers)
            body = response.read(_MOST_ANSWER_BYTES)
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise self._refused(response.status, body)

    def close(self) -> None:
        """Close the connections of all threads."""
        while self._kept:
            self._kept.pop().close()

    # ------------------------------------------------------------------- inside

    def _json(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """Make a call, again when the server says that it is busy."""
        status, answer = self._once(method, path, body)
        for attempt in range(_ATTEMPTS - 1):
            if status not in _LATER:
                break
            time.sleep(2**attempt * random.uniform(0.5, 1.0))  # noqa: S311  # only spread in time
            status, answer = self._once(method, path, body)
        if status != http.client.OK:
            raise self._refused(status, answer)
        try:
            # Not msgspec: servers write NaN as a bare word.
            found = json.loads(answer or b"{}")
        except ValueError as error:
            raise Invalid(
                f"{self.name} answered {path.partition('?')[0]} with what is no JSON",
                code="no-mlflow",
                hint="Is it a server of MLflow?",
            ) from error
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def _once(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Make a call on this thread's connection; on a new one when the kept one was closed."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        kept = getattr(self._threads, "connection", None)
        if kept is not None and time.monotonic() - self._threads.used > _IDLE_S:
            self._drop(kept)  # the server may be closing it in this moment
            kept = None
        if kept is not None:
            try:
                return self._exchange(kept, method, path, body, headers)
            except (OSError, http.client.HTTPException):
                self._drop(kept)
                if method != "GET":
                    self._threads.connection = None
                    # Whether it arrived nobody knows: the next export or import finds out.
                    raise self._silent("it closed the connection") from None
        connection = self._threads.connection = self._connection()
        with self._lock:
            self._kept.append(connection)
        try:
            return self._exchange(connection, method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._drop(connection)
            self._threads.connection = None
            raise self._silent(str(error) or type(error).__name__) from error

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> tuple[int, bytes]:
        connection.request(method, self._root + path, body, {**self._headers, **headers})
        response = connection.getresponse()
        answer = response.read(_MOST_ANSWER_BYTES)
        self._threads.used = time.monotonic()
        if response.will_close or len(answer) == _MOST_ANSWER_BYTES:
            self._drop(connection)
            self._threads.connection = None
        return response.status, answer

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        with self._lock:
            if connection in self._kept:
                self._kept.remove(connection)

    def _tried(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: BinaryIO | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        try:
            connection.request(method, self._root + path, body, {**self._headers, **headers})
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._silent(str(error) or type(error).__name__) from error

    def _connection(self) -> http.client.HTTPConnection:
        if self._is_secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=_TIMEOUT_S, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)

    def _silent(self, why: str) -> Unavailable:
        return Unavailable(
            f"{self.name} did not answer: {why}",
            code="no-answer",
            hint="Check the address and the network, and do it again: it goes on where it was.",
        )

    def _refused(self, status: int, answer: bytes) -> TrivetError:
        said = _said(answer)
        message = f"{self.name} answered {status}: {said}"
        if status in {401, 403}:
            return Forbidden(
                message,
                code="not-allowed",
                hint="Set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD.",
            )
        if status == http.client.NOT_FOUND:
            return NotFound(message, code="not-there")
        if "RESOURCE_ALREADY_EXISTS" in said:
            return Conflict(message, code="exists")
        if status in _LATER or status >= http.client.INTERNAL_SERVER_ERROR:
            return Unavailable(message, code="no-answer", hint="Do it again later.")
        return Invalid(message, code="refused")


class _Body:
    """The body of an answer, whose connection is closed with it."""

    def __init__(
        self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection
    ) -> None:
        self._response = response
        self._connection = connection
        length = response.getheader("Content-Length")
        self._left = int(length) if length and length.isdigit() else None

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes.

        Raises:
            Unavailable: The connection ended before the file did.
        """
        try:
            block = self._response.read(None if size < 0 else size)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"a download broke off: {error}", code="no-answer") from error
        if self._left is not None:
            self._left -= len(block)
            if not block and self._left > 0 and size != 0:
                raise Unavailable("a download broke off", code="no-answer")
        return block

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def pages(
    ask: Callable[[dict[str, Any]], dict[str, Any]], query: Mapping[str, Any], name: str
) -> Iterator[object]:
    """Yield the items of all pages of an answer.

    Args:
        ask: Makes the call with a query.
        query: What is asked.
        name: What the answers call their items.
    """
    token = ""
    while True:
        answer = ask({**query, **({"page_token": token} if token else {})})
        yield from answer.get(name) or ()
        token = answer.get("next_page_token") or ""
        if not token:
            return


def side_by_side(asked: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Make calls several at a time, in order, and never hold more than that many answers."""
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for call in asked:
            waiting.append(pool.submit(call))
            if len(waiting) >= _AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _headers(credentials: Credentials) -> dict[str, str]:
    headers = {"User-Agent": "trivet", "Accept": "*/*"}
    if credentials.user or credentials.password:
        pair = f"{credentials.user}:{credentials.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    elif credentials.token:
        headers["Authorization"] = f"Bearer {credentials.token}"
    return headers


def _said(answer: bytes) -> str:
    try:
        found = json.loads(answer)
        text = f"{found.get('error_code', '')} {found.get('message', '')}".strip()
    except (ValueError, AttributeError):
        text = answer.decode("utf-8", "replace")
    return " ".join(text.split())[:_MOST_SHOWN] or "nothing"
