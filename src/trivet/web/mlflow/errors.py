"""Errors as MLflow's clients read them."""

import msgspec

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
from trivet.http.application import Reply

_CODES: dict[type[TrivetError], tuple[int, str]] = {
    Invalid: (400, "INVALID_PARAMETER_VALUE"),
    NotFound: (404, "RESOURCE_DOES_NOT_EXIST"),
    Forbidden: (403, "PERMISSION_DENIED"),
    Refused: (403, "PERMISSION_DENIED"),
    Conflict: (409, "RESOURCE_CONFLICT"),
    Unsupported: (501, "NOT_IMPLEMENTED"),
    Unavailable: (503, "TEMPORARILY_UNAVAILABLE"),
    Corrupt: (500, "DATA_LOSS"),
}
_BY_CODE = {
    "experiment-exists": (400, "RESOURCE_ALREADY_EXISTS"),
    "bad-json": (400, "BAD_REQUEST"),
    "bad-content-type": (400, "BAD_REQUEST"),
}


def error_reply(error: TrivetError) -> Reply:
    """Render an error. What a client did wrong never has a status that it tries again."""
    found = _BY_CODE.get(error.code)
    if found is None:
        kinds = (code for kind, code in _CODES.items() if isinstance(error, kind))
        found = next(kinds, (500, "INTERNAL_ERROR"))
    status, code = found
    end = "" if error.message.endswith((".", ":")) else "."
    message = f"{error.message}{end} {error.hint}" if error.hint else error.message
    return Reply(msgspec.json.encode({"error_code": code, "message": message}), status=status)
