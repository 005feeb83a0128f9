"""A `Courier` over HTTP: one connection, kept open, made anew when it breaks.

Redirects are not followed, so a token goes nowhere but to the address that was given. The proxies
that the environment names are used, as other programs do.
"""

import base64
import http.client
import ssl
import threading
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec

from trivet.core.courier import LARGE_ANSWER, Upload
from trivet.core.errors import (
    Conflict,
    Corrupt,
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    TrivetError,
    Unavailable,
    Unsupported,
)

_BLOCK_BYTES: Final = 1 << 20
_MOST_ANSWER_BYTES: Final = 64 << 20
_ERRORS: Final[dict[int, type[TrivetError]]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    405: Invalid,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    422: Refused,
    500: Corrupt,
    501: Unsupported,
}
"""What a status says of what the caller can do; any other means that the server cannot now."""


class _Said(msgspec.Struct, frozen=True):
    error: str
    code: str
    hint: str = ""


class HttpCourier:
    """Carries requests to the server at an address.

    Args:
        url: `http://` or `https://`, a host, and perhaps a path that all requests begin with.
        token: Sent with each request; empty: none.
        timeout_s: How long the server may be silent.
    """

    def __init__(self, url: str, token: str, *, timeout_s: float) -> None:
        self._parts = urlsplit(url)
        self._timeout_s = timeout_s
        self._headers = {"accept": "application/json", "user-agent": "trivet"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._is_fresh = True
        self._target = ""

    def ask(self, method: str, path: str, body: bytes | Upload = b"") -> bytes:
        with self._lock:
            status, content = self._answered(method, path, body)
        # Only here: some of these are OSErrors, and would pass for a connection that broke.
        if not 200 <= status < 300:
            raise self._error(status, content)
        if len(content) > _MOST_ANSWER_BYTES:
            raise Unavailable(
                f"the answer to {method} {path} has more than {_MOST_ANSWER_BYTES:,} bytes",
                code=LARGE_ANSWER,
                hint="Ask for less at once.",
            )
        return content

    def close(self) -> None:
        with self._lock:
            self._let_go()

    def _answered(self, method: str, path: str, body: bytes | Upload) -> tuple[int, bytes]:
        try:
            return self._ask(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            was_fresh = self._is_fresh
            self._let_go()
            if was_fresh:
                raise self._no_answer(error) from error
        try:  # the connection had been idle for too long: the server may be well
            return self._ask(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            self._let_go()
            raise self._no_answer(error) from error

    def _ask(self, method: str, path: str, body: bytes | Upload) -> tuple[int, bytes]:
        connection = self._connected()
        headers = dict(self._headers)
        if isinstance(body, bytes):
            headers["content-type"] = "application/json"
        else:
            headers |= {
                "content-type": "application/octet-stream",
                "content-length": str(body.seek(0, 2)),
            }
            body.seek(0)
        target = f"{self._target}{self._parts.path.rstrip('/')}{path}"
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        content = answer.read(_MOST_ANSWER_BYTES + 1)
        self._is_fresh = False
        if answer.will_close or not answer.isclosed():
            self._let_go()
        return answer.status, content

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = self._connect()
            self._is_fresh = True
        return self._connection

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        proxy = self._proxy()
        options: dict[str, Any] = {"timeout": self._timeout_s, "blocksize": _BLOCK_BYTES}
        if self._parts.scheme == "https":
            options["context"] = ssl.create_default_context()
            if proxy is None:
                return http.client.HTTPSConnection(host, port, **options)
            through = http.client.HTTPSConnection(proxy.hostname or "", proxy.port, **options)
            through.set_tunnel(host, port or 443, _credentials(proxy, "Proxy-Authorization"))
            return through
        if proxy is None:
            return http.client.HTTPConnection(host, port, **options)
        self._target = f"http://{self._parts.netloc}"
        self._headers |= _credentials(proxy, "proxy-authorization")
        return http.client.HTTPConnection(proxy.hostname or "", proxy.port, **options)

    def _proxy(self) -> SplitResult | None:
        found = getproxies().get(self._parts.scheme)
        if not found or proxy_bypass(self._parts.hostname or ""):
            return None
        return urlsplit(found if "//" in found else f"http://{found}")

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _no_answer(self, error: Exception) -> Unavailable:
        why = str(error) or type(error).__name__
        return Unavailable(
            f"{self._parts.netloc} did not answer: {why}",
            code="no-answer",
            hint="Check the address, and whether the server runs.",
        )

    def _error(self, status: int, content: bytes) -> TrivetError:
        try:
            said = msgspec.json.decode(content, type=_Said)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Unavailable(
                f"{self._parts.netloc} answered with status {status}, and not as a server of "
                "Trivet does",
                code="other-server",
                hint="Check the address: it is what the server printed, without what follows.",
                detail={"status": status},
            )
        kind = _ERRORS.get(status, Unavailable)
        if status == 500 and said.code != Corrupt.slug:
            kind = Unavailable
        return kind(said.error, code=said.code, hint=said.hint)


def _credentials(proxy: SplitResult, header: str) -> dict[str, str]:
    if not proxy.username:
        return {}
    both = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {header: f"Basic {base64.b64encode(both).decode()}"}
