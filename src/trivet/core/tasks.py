"""How a task of the journal goes from state to state: pure, and the same for every adapter."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from trivet.core.errors import Conflict, NotFound
from trivet.core.facts import TaskMove, TaskNew, TaskOverride
from trivet.core.ports import Task

TaskChange = TaskNew | TaskMove | TaskOverride


def change_task(task: Task | None, change: TaskChange, now: datetime) -> Task:
    """Return a task after a change; the very same object when the change changes nothing.

    Args:
        task: The task as it stands, None when its key is new.
        change: What a batch says of it.
        now: The present of the store's clock.

    Raises:
        NotFound: There is no such task.
        Conflict: It is held by another owner or epoch (code `fenced`).
    """
    if isinstance(change, TaskNew):
        return task or _begin(change, now)
    if task is None:
        raise NotFound(
            f"no task has the key {change.key!r}",
            code="no-task",
            hint="`trivet pipelines tasks` lists the runs that were asked for.",
        )
    return _override(task, change) if isinstance(change, TaskOverride) else _move(task, change)


def claimed(task: Task, owner: str, lease_s: float, now: datetime) -> Task:
    """Return a task as it is when an owner has taken it."""
    return replace(
        task,
        state="running",
        attempts=task.attempts + 1,
        epoch=task.epoch + 1,
        owner=owner,
        # A lease that is over at once ends after this moment all the same: one task is not taken
        # twice by one claim.
        leased_until=now + timedelta(seconds=max(lease_s, 1e-6)),
    )


def ready_at(task: Task, now: datetime) -> datetime:
    """Return when an open task can be taken: the end of its lease, or its due time."""
    return task.leased_until or task.due or now


def fenced(key: str) -> Conflict:
    """Make the answer to whoever writes about a task that somebody else holds."""
    return Conflict(
        f"the task {key!r} is held by another owner or epoch",
        code="fenced",
        hint="Drop this work; somebody else has taken it over.",
    )


def _begin(new: TaskNew, now: datetime) -> Task:
    task = Task(
        key=new.key,
        queue=new.queue,
        body=new.body,
        state="ready",
        attempts=0,
        max_attempts=new.max_attempts,
        epoch=0,
        due=new.due,
        limit=new.limit,
    )
    return claimed(task, new.claim.owner, new.claim.lease_s, now) if new.claim else task


def _move(task: Task, move: TaskMove) -> Task:
    held = (task.owner, task.epoch, task.state)
    if move.state == "running" and held == (move.owner, move.epoch, "running"):
        return task
    if held == (move.owner, move.epoch, move.state) and task.result == move.result:
        return task
    waiting = task.state == "ready" and move.state == "cancelled" and task.epoch == move.epoch
    if not waiting and held != (move.owner, move.epoch, "running"):
        raise fenced(move.key)
    is_ready = move.state == "ready"
    return replace(
        task,
        state=move.state,
        attempts=task.attempts - (is_ready and move.is_refunded),
        owner=None if is_ready else move.owner,
        due=move.due if is_ready else task.due,
        leased_until=None,
        result=move.result,
    )


def _override(task: Task, override: TaskOverride) -> Task:
    freed = replace(task, epoch=task.epoch + 1, owner=None, leased_until=None)
    if override.state == "cancelled" and task.state in {"ready", "running"}:
        return replace(freed, state="cancelled")
    if override.state == "ready" and task.state in {"failed", "cancelled"}:
        return replace(freed, state="ready", attempts=0, due=None, result=None)
    return task
