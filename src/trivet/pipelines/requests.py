"""Asking for a run that somebody else shall execute: the body of a task in queue `runs`."""

from typing import Any

import msgspec

from trivet.core.errors import Invalid
from trivet.core.facts import TaskNew
from trivet.core.ids import new_id

QUEUE = "runs"
"""Runs that were asked for: a runner executes them."""
PAST = "backfills"
"""Runs over partitions of the past: what they return is no news, and makes no versions of assets.
A queue of its own: a run that a trigger asks for does not wait behind a year of days."""
FOREGROUND = "runs.foreground"
"""Runs that a person's own process executes. Nobody takes them over."""


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which flow to run, with what, and who asked."""

    flow: str
    """`module:function`."""
    parameters: dict[str, Any] = {}
    """JSON-ready; a data set by name, or by `name@identifier` for an exact version."""
    asked_by: str | None = None
    """The fact that asked: a trigger's firing."""


def new_task(request: RunRequest, *, key: str | None = None, max_attempts: int = 1) -> TaskNew:
    """Make the task that asks for a run; commit it with the fact that asks.

    Args:
        request: What to run.
        key: Names the request: a second task of the same key changes nothing. New when omitted.
        max_attempts: How often the run is begun when its process dies. What was done before is
            remembered, so a second attempt is cheap.
    """
    try:
        body = msgspec.json.encode(request)
    except (TypeError, ValueError) as error:
        raise Invalid(
            f"a parameter of the request for {request.flow!r} is not JSON-ready: {error}",
            code="bad-parameter",
            hint="Pass numbers, text, lists or mappings; data sets by name.",
        ) from error
    return TaskNew(key=key or f"run-{new_id()}", queue=QUEUE, body=body, max_attempts=max_attempts)


def read_request(body: bytes) -> RunRequest:
    """Decode a task's body.

    Raises:
        Invalid: It is no request for a run.
    """
    try:
        return msgspec.json.decode(body, type=RunRequest)
    except msgspec.DecodeError as error:
        raise Invalid(
            f"a task of queue {QUEUE!r} has a body that is no request for a run: {error}",
            code="bad-request",
        ) from error
