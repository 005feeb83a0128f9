"""Identifiers: UUIDv7 for things that happen, digests for things that are.

A UUIDv7 (RFC 9562, section 5.7) sorts by the millisecond it was made in, so indexes over it grow
at one end. Within one process the identifiers rise strictly.
"""

import os
import re
import threading
import time
from hashlib import sha256
from typing import Final

from trivet.core.errors import Invalid

NAME_PATTERN: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
"""The one grammar of names that people choose (projects, datasets, models, endpoints)."""

_ID_PATTERN: Final = re.compile(r"[0-9a-f]{32}")


class _Generator:
    """Strictly rising UUIDv7 values; 12 bits of sub-millisecond counter, 62 random bits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._pid = os.getpid()

    def __call__(self) -> str:
        now = time.time_ns()
        # rand_a carries the fraction of the millisecond (RFC 9562, method 3).
        stamp = ((now // 1_000_000) << 12) | ((now % 1_000_000) * 4096 // 1_000_000)
        with self._lock:
            stamp = max(stamp, self._last + 1)
            self._last = stamp
        random = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
        value = ((stamp >> 12) << 80) | (0x7 << 76) | ((stamp & 0xFFF) << 64) | (0x2 << 62) | random
        return f"{value:032x}"


new_id: Final = _Generator()
"""Make a UUIDv7 as 32 lower-case hexadecimal digits."""


def time_of(identifier: str) -> int:
    """Read the creation time out of a UUIDv7, in milliseconds since 1970 (UTC)."""
    return int(check_id(identifier)[:12], 16)


def check_id(value: object, field: str = "id") -> str:
    """Return `value` when it is a well-formed identifier.

    Raises:
        Invalid: It is not a string of 32 lower-case hexadecimal digits.
    """
    if isinstance(value, str) and _ID_PATTERN.fullmatch(value):
        return value
    raise Invalid(
        f"{field} is a {type(value).__name__} that is no identifier; "
        "expected 32 lower-case hexadecimal digits",
        code="bad-id",
        hint="Copy the identifier as Trivet printed it.",
    )


def check_name(value: object, field: str = "name", *, example: str = "churn-2025") -> str:
    """Return `value` when it is a name that Trivet accepts.

    Args:
        value: What was given.
        field: What errors call it.
        example: A name of its kind, for errors.

    Raises:
        Invalid: It is not 1 to 64 characters of a-z, 0-9, dot, dash or underscore, beginning and
            ending with a letter or a digit.
    """
    if isinstance(value, str) and NAME_PATTERN.fullmatch(value):
        return value
    raise Invalid(
        f"{field} is a {type(value).__name__} that is no valid name; expected 1 to 64 characters "
        "of a-z, 0-9, '.', '-' or '_', beginning and ending with a letter or a digit",
        code="bad-name",
        hint=f"Use lower-case letters, for example {example!r}.",
    )


def sha256_hex(*parts: bytes) -> str:
    """Hash the parts, each preceded by its length, so that no two lists of parts collide."""
    state = sha256()
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.hexdigest()
