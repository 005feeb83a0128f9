"""The one table from errors to HTTP statuses, and the shape in which errors travel."""

from typing import Any

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

STATUS: dict[type[TrivetError], int] = {
    Invalid: 400,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Refused: 422,
    Corrupt: 500,
    Unsupported: 501,
    Unavailable: 503,
}
_BY_CODE = {
    "bad-token": 401,
    "no-token": 401,
    "too-many-guesses": 429,
    "too-large": 413,
    "too-slow": 408,
    "bad-range": 416,
    "other-encoding": 415,
    "other-method": 405,
}


def status_of(error: TrivetError) -> int:
    """Return the HTTP status of an error; 500 when nobody foresaw its class."""
    if isinstance(error, Forbidden | Invalid) and error.code in _BY_CODE:
        return _BY_CODE[error.code]
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)


def error_body(error: TrivetError) -> dict[str, Any]:
    """Return what a client reads: message, code, hint and detail."""
    return {
        "error": error.message,
        "code": error.code,
        "hint": error.hint,
        "detail": error.detail,
    }


def error_headers(error: TrivetError) -> list[tuple[bytes, bytes]]:
    """Return the headers that go with an error."""
    if error.code == "too-many-guesses":
        return [(b"retry-after", b"%d" % error.detail["retry_after_s"])]
    if isinstance(error, Unavailable):
        return [(b"retry-after", b"1")]
    if error.code == "bad-range":
        return [(b"content-range", b"bytes */%d" % error.detail["size_bytes"])]
    # What a slow client still sends is not waited for.
    return [(b"connection", b"close")] if error.code == "too-slow" else []
