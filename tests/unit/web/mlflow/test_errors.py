import pytest

from trivet.core import errors
from trivet.core.errors import Conflict, Corrupt, Forbidden, Invalid, NotFound, TrivetError
from trivet.web.mlflow.errors import DIALECT, mlflow_error, say


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (Invalid("x"), "INVALID_PARAMETER_VALUE", 400),
        (NotFound("x"), "RESOURCE_DOES_NOT_EXIST", 404),
        (NotFound("x", code="no-route"), "ENDPOINT_NOT_FOUND", 404),
        (Invalid("x", code="other-method"), "ENDPOINT_NOT_FOUND", 404),
        (Conflict("x"), "RESOURCE_CONFLICT", 409),
        (Forbidden("x"), "PERMISSION_DENIED", 403),
        (Forbidden("x", code="bad-token"), "UNAUTHENTICATED", 401),
        (NotFound("x", code="no-token"), "RESOURCE_DOES_NOT_EXIST", 404),
        (errors.Unsupported("x"), "NOT_IMPLEMENTED", 501),
        (errors.Unavailable("x"), "TEMPORARILY_UNAVAILABLE", 503),
        (Corrupt("x"), "DATA_LOSS", 500),
        (TrivetError("x"), "INTERNAL_ERROR", 500),
    ],
)
def test_errors_have_the_codes_that_clients_know(
    error: TrivetError, code: str, status: int
) -> None:
    meaning = mlflow_error(error)
    assert (meaning.error_code, meaning.status) == (code, status)


def test_nothing_that_a_user_did_wrong_is_asked_again_for_minutes() -> None:
    mistakes = (errors.Invalid, errors.NotFound, errors.Conflict, errors.Refused, errors.Forbidden)
    assert all(mlflow_error(mistake("x")).status < 500 for mistake in mistakes)


def test_what_is_said_has_the_hint_too() -> None:
    assert say(Invalid("no good", hint="Do better.")) == (
        400,
        {"error_code": "INVALID_PARAMETER_VALUE", "message": "no good. Do better."},
    )


@pytest.mark.parametrize(
    ("path", "is_spoken"),
    [
        ("/api/2.0/mlflow/runs/get", True),
        ("/api/3.0/mlflow/traces", True),
        ("/api/2.0/mlflow-artifacts/artifacts/a", True),
        ("/ajax-api/2.0/mlflow/x", True),
        ("/left/api/2.0/mlflow/x", True),
        (
            "/api/2.0/other",
            True,
        ),  # a client may know calls that are not here, and asks for older ones
        ("/get-artifact", True),
        ("/runs", False),
        ("/apis/2.0/mlflow/x", False),
        ("/a/b/api/2.0/mlflow/x", False),
    ],
)
def test_it_is_spoken_where_mlflow_s_clients_ask(path: str, is_spoken: bool) -> None:
    assert (DIALECT.paths.match(path) is not None) is is_spoken
