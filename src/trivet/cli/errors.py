"""The one table from errors to exit codes, and how an error looks on a terminal."""

import json
import sys

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
from trivet.pipelines.logs.masking import plain

EXIT_CODES: dict[type[TrivetError], int] = {
    Invalid: 2,
    NotFound: 3,
    Conflict: 4,
    Refused: 5,
    Forbidden: 6,
    Unavailable: 7,
    Unsupported: 8,
    Corrupt: 9,
}
FAILED = 1
"""The user's own code failed, or what was asked for turned out to be no."""
INTERRUPTED = 130
TERMINATED = 143


def exit_code_of(error: TrivetError) -> int:
    """Return the exit code of an error."""
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), FAILED)


def show_error(error: TrivetError, *, as_json: bool) -> None:
    """Print an error: what is wrong, then what to do next."""
    if as_json:
        body = {
            "error": error.message,
            "code": error.code,
            "hint": error.hint,
            "detail": error.detail,
        }
        print(json.dumps(body, default=str), file=sys.stderr)
        return
    print(f"error: {plain(error.message)}", file=sys.stderr)
    for note in getattr(error, "__notes__", ()):
        print(f"  {plain(note)}", file=sys.stderr)
    if error.hint:
        print(f"  next: {plain(error.hint)}", file=sys.stderr)
