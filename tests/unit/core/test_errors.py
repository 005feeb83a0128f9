import pickle

import pytest

from trivet.core import errors
from trivet.core.errors import Refused, TrivetError

KINDS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, TrivetError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_crosses_a_process_border_whole(kind: type[TrivetError]) -> None:
    error = kind("no", code="because", hint="do this", detail={"rows": 3})
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert type(again) is kind
    assert (again.message, again.code, again.hint, again.detail) == (
        "no",
        "because",
        "do this",
        {"rows": 3},
    )


def test_an_error_without_a_code_has_its_class_s_slug() -> None:
    assert Refused("no").code == "refused"


def test_errors_are_also_what_the_language_calls_them() -> None:
    assert issubclass(errors.Invalid, ValueError)
    assert issubclass(errors.NotFound, LookupError)
    assert issubclass(errors.Forbidden, PermissionError)
    assert issubclass(errors.Unavailable, ConnectionError)
