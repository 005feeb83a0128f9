"""`trivet login` and `trivet logout`: a token of one's own for a server elsewhere."""

import http.client
import os
import socket
import sys
import time
import webbrowser
from argparse import Namespace
from base64 import b64encode
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from trivet.access.provider import challenge_of, new_secret
from trivet.access.stored import StoredTokens, origin_of
from trivet.cli.command import Answer, Argument, Command
from trivet.cli.users import ask_password
from trivet.core.errors import Forbidden, Invalid, TrivetError, Unavailable

_PATIENCE_S: Final = 15.0
_BROWSER_S: Final = 300.0
_MOST_BYTES: Final = 1 << 20
_DONE: Final = b"<!doctype html><title>Signed in</title><p>Signed in: go on in the terminal.\n"


def _login(options: Namespace) -> Answer:
    origin = origin_of(options.url)
    token = (
        _by_password(origin, options.user)
        if options.user
        else _by_browser(origin, is_shown=options.no_browser)
    )
    stored = StoredTokens()
    stored.put(origin, token)
    who = _ask(origin, "GET", "/session", headers=_bearer(token))
    data = {"url": origin, "user": who["name"], "token_file": str(stored.path)}
    return Answer(data, f"signed in at {origin} as {who['name']}; the token is in {stored.path}")


def _by_password(origin: str, user: str) -> str:
    pair = f"{user}:{ask_password(user, is_new=False)}".encode()
    headers = {"Authorization": f"Basic {b64encode(pair).decode()}"}
    name = "".join(c if c.isalnum() else "-" for c in socket.gethostname().lower())[:24].strip("-")
    wish = {"name": f"{name or 'login'}-{os.urandom(4).hex()}", "days": 30, "project": "*"}
    return str(_ask(origin, "POST", "/session/tokens", wish, headers)["token"])


def _by_browser(origin: str, *, is_shown: bool) -> str:
    """Let a browser sign in, and have it bring a code to a port of this machine (RFC 8252)."""
    verifier, state = new_secret(), new_secret()
    with _Listener(state) as listener:
        query = urlencode(
            {"cli": listener.port, "challenge": challenge_of(verifier), "state": state}
        )
        url = f"{origin}/login?{query}"
        _check_provider(url)
        if is_shown or not webbrowser.open(url):
            print(f"Open this address in a browser of this machine:\n\n  {url}\n", file=sys.stderr)
        code = listener.wait(_BROWSER_S)
    return str(_ask(origin, "POST", "/login/token", {"code": code, "verifier": verifier})["token"])


def _check_provider(url: str) -> None:
    """Ask before a browser is opened: what it would show is no help on a terminal."""
    status, answer = _exchange(origin_of(url), "GET", url[len(origin_of(url)) :], None, {})
    if status != 302:
        raise _told(status, answer)


class _Listener(HTTPServer):
    """Waits on loopback for one request that holds the state, and keeps its code."""

    def __init__(self, state: str) -> None:
        super().__init__(("127.0.0.1", 0), _Returned)
        self.state = state
        self.code: str | None = None

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def wait(self, seconds: float) -> str:
        end = time.monotonic() + seconds
        while self.code is None:
            self.timeout = end - time.monotonic()
            if self.timeout <= 0:
                raise Unavailable(
                    f"nobody signed in within {seconds:.0f} s",
                    code="too-late",
                    hint="Try again, or with a password: `trivet login URL --user NAME`.",
                )
            self.handle_request()
        return self.code


class _Returned(BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self) -> None:  # the library's name
        waiting = cast("_Listener", self.server)
        query = parse_qs(urlsplit(self.path).query)
        is_ours = query.get("state") == [waiting.state] and len(query.get("code", [])) == 1
        if is_ours:
            waiting.code = query["code"][0]
        body = _DONE if is_ours else b"not found\n"
        self.send_response(200 if is_ours else 404)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.send_header("referrer-policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # the library's name
        """Keep quiet: the address that is asked for holds the code."""


def _logout(options: Namespace) -> Answer:
    origin = origin_of(options.url)
    token = StoredTokens().remove(origin)
    if token is None:
        return Answer({"url": origin, "revoked": 0}, f"there was no token for {origin}")
    try:
        answer = _ask(origin, "DELETE", "/session/token", headers=_bearer(token))
    except TrivetError as error:
        text = f"the token for {origin} is removed here; the server did not end it: {error.message}"
        return Answer({"url": origin, "revoked": 0}, text)
    return Answer({"url": origin, "revoked": answer["ended"]}, f"signed out at {origin}")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _ask(
    origin: str,
    method: str,
    path: str,
    body: object | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    content = None if body is None else msgspec.json.encode(body)
    status, answer = _exchange(origin, method, path, content, headers or {})
    if status != 200:
        raise _told(status, answer)
    return answer


def _exchange(
    origin: str, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> tuple[int, dict[str, Any]]:
    parts = urlsplit(origin)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_PATIENCE_S)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        text = answer.read(_MOST_BYTES)
        return answer.status, msgspec.json.decode(text or b"{}", type=dict[str, Any])
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise Unavailable(
            f"{origin} does not answer as a server of Trivet: {error}",
            code="no-answer",
            hint="Look at the address, and whether the server runs.",
        ) from error
    finally:
        connection.close()


def _told(status: int, answer: Mapping[str, Any]) -> TrivetError:
    kind = Forbidden if status in {401, 403, 429} else Invalid
    return kind(
        str(answer.get("error", f"the server answered {status}")),
        code=str(answer.get("code", "refused")),
        hint=str(answer.get("hint", "")),
    )


_URL = Argument("url", "the server's address")

login = Command(
    "Sign in at a server elsewhere; its token is kept in a file that only you can read.",
    "trivet login http://127.0.0.1:7878 --user anna",
    _login,
    (
        _URL,
        Argument("--user", "with this name and a password (default: in a browser)"),
        Argument("--no-browser", "print the address, open no browser", {"action": "store_true"}),
    ),
)
logout = Command(
    "End the token of a server elsewhere, and forget it.",
    "trivet logout http://127.0.0.1:7878",
    _logout,
    (_URL,),
)
