"""Tasks and events inside a write transaction: what a commit and the journal share."""

from datetime import datetime
from typing import Any

from trivet.adapters.sqlite.session import Session
from trivet.core.clock import from_micros, to_micros
from trivet.core.errors import Conflict, NotFound
from trivet.core.facts import Inbox, TaskMove, TaskNew
from trivet.core.ports import Task


def to_task(row: Any) -> Task:
    """Make a task of a row whose columns stand in the order of `Task`'s query."""
    key, queue, body, state, attempts, max_attempts, epoch, owner, due, leased, result = row
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
    )


def fenced(key: str) -> Conflict:
    """Make the answer to whoever writes about a task that somebody else holds."""
    return Conflict(
        f"the task {key!r} is held by another owner or epoch",
        code="fenced",
        hint="Drop this work; somebody else has taken it over.",
    )


def add_task(session: Session, new: TaskNew, now: int) -> None:
    """Add a task, unless its key exists."""
    due = _micros(new.due)
    session.run(
        "add_task",
        {
            "key": new.key,
            "queue": new.queue,
            "body": new.body,
            "max_attempts": new.max_attempts,
            "ready_at": now if due is None else due,
            "due": due,
        },
    )


def move_task(session: Session, move: TaskMove, now: int) -> None:
    """Lead a claimed task into its next state.

    The same move again changes nothing. A task that waits may be cancelled by whoever names its
    epoch.

    Raises:
        NotFound: There is no such task.
        Conflict: It is held by another owner or epoch (code `fenced`).
    """
    row = session.one("task", (move.key,))
    if row is None:
        raise NotFound(f"no task has the key {move.key!r}", code="no-task")
    task = to_task(row)
    held = (task.owner, task.epoch, task.state)
    if held == (move.owner, move.epoch, move.state) and task.result == move.result:
        return
    waiting = task.state == "ready" and move.state == "cancelled" and task.epoch == move.epoch
    if not waiting and held != (move.owner, move.epoch, "running"):
        raise fenced(move.key)
    is_ready = move.state == "ready"
    due = _micros(move.due if is_ready else task.due)
    session.run(
        "move_task",
        {
            "key": move.key,
            "state": move.state,
            "owner": None if is_ready else move.owner,
            "due": due,
            "ready_at": now if due is None else due,
            "result": move.result,
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
