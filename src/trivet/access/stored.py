"""Tokens of servers elsewhere that this machine's user has signed in at: one owner-only file."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from trivet.core.errors import Corrupt, Invalid, Unavailable

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def origin_of(url: str) -> str:
    """Return the part of a server's address that all its projects share.

    Example:
        >>> origin_of("http://127.0.0.1:7878/churn")
        'http://127.0.0.1:7878'

    Raises:
        Invalid: It is no address of a server, or a token would travel to it in clear text.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise Invalid(
            "url is no address of a server; expected http(s)://host:port",
            code="bad-url",
            hint="Take the one that `trivet up` or `trivet tracking serve` prints.",
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise Invalid(
            "url is http on another machine; expected https",
            code="bad-url",
            hint="A password or token would travel in clear text; use https or an SSH tunnel.",
        )
    return f"{parts.scheme}://{parts.netloc}"


class StoredTokens:
    """The file with a user's tokens, by the origin of the server.

    Args:
        path: The file; the user's own when None.
    """

    def __init__(self, path: Path | None = None) -> None:
        home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        self.path = path or Path(home) / "trivet" / "tokens.json"

    def get(self, url: str) -> str | None:
        """Return the token for a server, or None."""
        return self._read().get(origin_of(url))

    def put(self, url: str, token: str) -> None:
        """Keep a token, in place of the one before.

        Raises:
            Unavailable: The file cannot be written.
        """
        self._write({**self._read(), origin_of(url): token})

    def remove(self, url: str) -> str | None:
        """Remove and return a server's token; None when there was none."""
        tokens = dict(self._read())
        token = tokens.pop(origin_of(url), None)
        if token is not None:
            self._write(tokens)
        return token

    def _read(self) -> Mapping[str, str]:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError as error:
            raise Corrupt(
                f"{self.path} holds no tokens",
                code="bad-token-file",
                hint="Delete it, and sign in again: `trivet login`.",
            ) from error

    def _write(self, tokens: Mapping[str, str]) -> None:
        scratch = self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(tokens)) + b"\n")
                file.flush()
                os.fsync(descriptor)
            scratch.replace(self.path)
        except OSError as error:
            scratch.unlink(missing_ok=True)
            raise Unavailable(
                f"{self.path} could not be written: {error.strerror}", code="no-token-file"
            ) from error
