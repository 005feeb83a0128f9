"""Readiness: whether the servers of `trivet up` answer yet, asked as any client would ask."""

import json
from http.client import HTTPConnection, HTTPException
from typing import cast

import msgspec

_PATIENCE_S = 2.0


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A server, and the public route that says whether it is ready."""

    name: str
    port: int
    path: str


def why_not_ready(server: Asked) -> str:
    """Ask a server on loopback whether it is ready; return nothing when it is, else why not."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", server.path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException) as error:
        return f"{server.name} does not answer ({_words(error)})"
    finally:
        connection.close()
    if response.status == 200:
        return ""
    return f"{server.name} is not ready: {_message(body) or f'status {response.status}'}"


def _words(error: OSError | HTTPException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _message(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    return str(cast("dict[str, object]", answer).get("error", ""))
