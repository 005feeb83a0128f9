"""Errors, told apart by what a caller can do about them.

TrivetError
├── Invalid      fix the input
├── NotFound     the name points at nothing
├── Conflict     somebody moved first: read again, retry
├── Refused      a gate said no; carries the findings
├── Forbidden    ask for the right
├── Unavailable  the world did not answer: retry later
├── Unsupported  this adapter or install cannot
└── Corrupt      bytes do not match their digest: stop
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar


class TrivetError(Exception):
    """The root of everything Trivet raises on purpose.

    Args:
        message: One sentence for a person: which field, of which type, and what was expected.
        code: A stable slug that programs may compare; the class's own slug when omitted.
        hint: What to do next, as an imperative sentence; empty when nothing can be said.
        detail: Values that explain the error, JSON-ready.

    Example:
        >>> error = Invalid("rows is a str; expected an int", hint="Pass rows=100.")
        >>> error.code, str(error)
        ('invalid', 'rows is a str; expected an int')
    """

    slug: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.slug
        self.hint = hint
        self.detail: dict[str, Any] = dict(detail or {})

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # Exceptions are rebuilt from their positional arguments alone; the keywords must cross
        # process borders too, or a worker's hint is lost on its way to the person who needs it.
        keywords = {"code": self.code, "hint": self.hint, "detail": self.detail}
        return partial(type(self), **keywords), (self.message,)


class Invalid(TrivetError, ValueError):
    """The input cannot be accepted; the caller can fix it."""

    slug = "invalid"


class NotFound(TrivetError, LookupError):
    """The name or identifier points at nothing."""

    slug = "not-found"


class Conflict(TrivetError):
    """Somebody moved first. Read again and retry."""

    slug = "conflict"


class Refused(TrivetError):
    """A gate said no. `detail["findings"]` says why."""

    slug = "refused"


class Forbidden(TrivetError, PermissionError):
    """The caller lacks the permission."""

    slug = "forbidden"


class Unavailable(TrivetError, ConnectionError):
    """Something outside did not answer, or is full. Retry later."""

    slug = "unavailable"


class Unsupported(TrivetError, NotImplementedError):
    """This adapter or this installation cannot do it."""

    slug = "unsupported"


class Corrupt(TrivetError):
    """Stored bytes do not match what was recorded of them. Stop and run `trivet fsck`."""

    slug = "corrupt"
