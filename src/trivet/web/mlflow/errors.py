"""Errors as MLflow's clients read them: an `error_code` from their list, and a status.

Clients repeat a request for minutes after most statuses from 500 on, so nothing that a user did
wrong may have one.
"""

import re
from typing import Any, Final

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
from trivet.http.application import Dialect

PATHS: Final = re.compile(r"/(?:[^/]+/)?(?:(?:ajax-)?api/|get-artifact|model-versions/)")
"""Where this is spoken: at the root, or one folder below."""


class MlflowError(msgspec.Struct, frozen=True):
    """What an error is to a client: its exception's code, and the status of the answer."""

    error_code: str
    status: int


_BY_CLASS: Final[dict[type[TrivetError], MlflowError]] = {
    Invalid: MlflowError("INVALID_PARAMETER_VALUE", 400),
    NotFound: MlflowError("RESOURCE_DOES_NOT_EXIST", 404),
    Conflict: MlflowError("RESOURCE_CONFLICT", 409),
    Refused: MlflowError("INVALID_STATE", 400),
    Forbidden: MlflowError("PERMISSION_DENIED", 403),
    Unavailable: MlflowError("TEMPORARILY_UNAVAILABLE", 503),
    Unsupported: MlflowError("NOT_IMPLEMENTED", 501),
    Corrupt: MlflowError("DATA_LOSS", 500),
}
_BY_CODE: Final[dict[tuple[type[TrivetError], str], MlflowError]] = {
    # Clients try the next older way to ask exactly when they are answered so.
    (NotFound, "no-route"): MlflowError("ENDPOINT_NOT_FOUND", 404),
    (Invalid, "other-method"): MlflowError("ENDPOINT_NOT_FOUND", 404),
    (Forbidden, "no-token"): MlflowError("UNAUTHENTICATED", 401),
    (Forbidden, "bad-token"): MlflowError("UNAUTHENTICATED", 401),
    (Forbidden, "too-many-guesses"): MlflowError("REQUEST_LIMIT_EXCEEDED", 429),
    (Invalid, "too-large"): MlflowError("INVALID_PARAMETER_VALUE", 413),
    (Invalid, "too-slow"): MlflowError("INVALID_PARAMETER_VALUE", 408),
    (Invalid, "other-encoding"): MlflowError("INVALID_PARAMETER_VALUE", 415),
    (Invalid, "bad-range"): MlflowError("INVALID_PARAMETER_VALUE", 416),
    (Invalid, "bad-json"): MlflowError("BAD_REQUEST", 400),
    (Conflict, "experiment-exists"): MlflowError("RESOURCE_ALREADY_EXISTS", 400),
    (Conflict, "model-exists"): MlflowError("RESOURCE_ALREADY_EXISTS", 400),
}
_INTERNAL: Final = MlflowError("INTERNAL_ERROR", 500)


def mlflow_error(error: TrivetError) -> MlflowError:
    """Return what an error is to MLflow's clients."""
    for kind, meaning in _BY_CLASS.items():
        if isinstance(error, kind):
            return _BY_CODE.get((kind, error.code), meaning)
    return _INTERNAL


def say(error: TrivetError) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of an error."""
    meaning = mlflow_error(error)
    if error.code == "bad-path":  # programs compare the whole answer with this one
        return meaning.status, {"error_code": meaning.error_code, "message": "Invalid path"}
    end = "" if error.message.endswith(".") else "."
    message = f"{error.message}{end} {error.hint}" if error.hint else error.message
    return meaning.status, {"error_code": meaning.error_code, "message": message}


DIALECT: Final = Dialect(PATHS, say)
"""For the application that answers these routes."""
