"""Tasks and events inside a write transaction: what a commit and the journal share."""

from datetime import datetime
from typing import Any

from trivet.adapters.sqlite.session import Session
from trivet.core.clock import from_micros, to_micros
from trivet.core.errors import Conflict
from trivet.core.facts import Inbox, Limit
from trivet.core.ports import Task
from trivet.core.tasks import TaskChange, change_task, ready_at


def to_task(row: Any) -> Task:
    """Make a task of a row whose columns stand in the order of `Task`'s query."""
    key, queue, body, state, attempts, max_attempts, epoch, owner, due, leased, result = row[:11]
    limit_name, limit_at_once = row[11:]
    return Task(
        key=key,
        queue=queue,
        body=body,
        state=state,
        attempts=attempts,
        max_attempts=max_attempts,
        epoch=epoch,
        owner=owner,
        due=None if due is None else from_micros(due),
        leased_until=None if leased is None else from_micros(leased),
        result=result,
        limit=None if limit_name is None else Limit(limit_name, limit_at_once),
    )


def read_task(session: Session, key: str) -> Task | None:
    """Return the task with this key, or None."""
    row = session.one("task", (key,))
    return None if row is None else to_task(row)


def apply_task(session: Session, change: TaskChange, now: datetime) -> None:
    """Add a task, unless its key exists, or lead one into its next state.

    Raises:
        NotFound: There is no such task.
        Conflict: It is held by another owner or epoch (code `fenced`).
    """
    before = read_task(session, change.key)
    after = change_task(before, change, now)
    if after is not before:
        store_task(session, after, now)


def store_task(session: Session, task: Task, now: datetime) -> None:
    """Write a task as it is now."""
    session.run(
        "store_task",
        {
            "key": task.key,
            "queue": task.queue,
            "body": task.body,
            "state": task.state,
            "attempts": task.attempts,
            "max_attempts": task.max_attempts,
            "epoch": task.epoch,
            "ready_at": to_micros(ready_at(task, now)),
            "owner": task.owner,
            "due": _micros(task.due),
            "leased_until": _micros(task.leased_until),
            "result": task.result,
            "limit_name": task.limit.name if task.limit else None,
            "limit_at_once": task.limit.at_once if task.limit else None,
        },
    )


def take_event(session: Session, event: Inbox, now: int) -> None:
    """Note an outside event.

    Raises:
        Conflict: It has arrived before (code `seen`).
    """
    if session.one("add_event", (event.source, event.key, now)) is None:
        raise Conflict(
            f"the event {event.key!r} of {event.source!r} has arrived before", code="seen"
        )


def _micros(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant)
