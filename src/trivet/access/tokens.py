"""Tokens: 32 random bytes behind a prefix that secret scanners recognise.

A token has so much entropy that a plain SHA-256 of it cannot be reversed; slow password hashes
are for things that people choose.
"""

import base64
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final

from trivet.core.errors import Corrupt, Unavailable

PREFIX: Final = "trv_"


def new_token() -> str:
    """Make a token: the prefix and 43 URL-safe characters."""
    return PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def token_digest(token: str) -> str:
    """Digest a token for storage and look-up."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def read_or_create_token(path: Path) -> str:
    """Return the workspace's own token from an owner-only file; make it when there is none.

    Raises:
        Corrupt: The file is there but holds no token.
        Unavailable: The file cannot be written.
    """
    try:
        return _read_token(path)
    except FileNotFoundError:
        pass
    token = new_token()
    scratch = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(descriptor)
        # A link instead of a rename: when two processes start at once, the first token stays.
        try:
            os.link(scratch, path)
        except FileExistsError:
            token = _read_token(path)
        finally:
            scratch.unlink()
    except OSError as error:
        raise Unavailable(
            f"the token file could not be written: {error.strerror}",
            code="no-token-file",
            hint="Make the workspace folder writable by its owner.",
        ) from error
    return token


def _read_token(path: Path) -> str:
    token = path.read_text().strip()
    if not token.startswith(PREFIX):
        raise Corrupt(
            "the workspace's token file holds no token",
            code="bad-token-file",
            hint="Delete the file; the next start makes a new token.",
        )
    return token
