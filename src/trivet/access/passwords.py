"""Passwords: kept as what scrypt makes of them, compared in constant time.

The cost is one of those that OWASP's sheet on storing passwords holds equal (N = 2^15, r = 8,
p = 3): 32 MiB and about a fifth of a second. It stands in every verifier, so that it can rise
later without anybody's password becoming void.
"""

import hmac
import secrets
import unicodedata
from base64 import b64decode, b64encode
from hashlib import scrypt
from typing import Final

from trivet.access.tokens import PREFIX
from trivet.core.errors import Corrupt, Invalid

LEAST: Final = 12
"""Characters of the shortest password."""
_MOST_BYTES: Final = 1024
_COST: Final = (15, 8, 3)
_MOST_MEMORY: Final = 256 << 20
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32


def check_password(password: str, user: str) -> None:
    """Check a password that somebody chose.

    Raises:
        Invalid: It is too short or too long, holds the user's name and little else, or looks like
            a token.
    """
    wrong = ""
    if len(password) < LEAST:
        wrong = f"has {len(password)} characters; expected at least {LEAST}"
    elif len(_bytes(password)) > _MOST_BYTES:
        wrong = f"is longer than {_MOST_BYTES} bytes"
    elif len(set(password)) < 5:
        wrong = "repeats a few characters"
    elif len(user) > 2 and len(password.lower().replace(user, "")) < LEAST - 3:
        wrong = "is little more than the user's name"
    elif password.startswith(PREFIX):
        wrong = f"begins like a token, with {PREFIX!r}"
    if wrong:
        raise Invalid(
            f"the password {wrong}",
            code="bad-password",
            hint="Take four or five unrelated words, or what a password manager makes.",
        )


def new_verifier(password: str) -> str:
    """Make what a password is checked against: its cost, a fresh salt, and scrypt's key."""
    return _written(_COST, secrets.token_bytes(_SALT_BYTES), _bytes(password))


def verifies(verifier: str, password: str) -> bool:
    """Say whether this is the password. It takes as long when it is not.

    Raises:
        Corrupt: The verifier is none.
    """
    try:
        name, log_n, r, p, salt, _ = verifier.split("$")
        cost = int(log_n), int(r), int(p)
        again = _written(cost, b64decode(salt, validate=True), _bytes(password))
    except ValueError as error:
        raise Corrupt("a password's verifier cannot be read", hint="Run `trivet fsck`.") from error
    return name == "scrypt" and hmac.compare_digest(again, verifier)


DUMMY: Final = "$".join(
    ["scrypt", *map(str, _COST), b64encode(bytes(16)).decode(), b64encode(bytes(32)).decode()]
)
"""No password's verifier. Checking against it takes as long as against a real one, so that the
time of an answer does not tell whether there is a user of a name."""


def _written(cost: tuple[int, int, int], salt: bytes, password: bytes) -> str:
    log_n, r, p = cost
    key = scrypt(password, salt=salt, n=1 << log_n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=_KEY_BYTES)
    return "$".join(["scrypt", *map(str, cost), b64encode(salt).decode(), b64encode(key).decode()])


def _bytes(password: str) -> bytes:
    # The same password typed on another keyboard may come as other code points.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogateescape")
