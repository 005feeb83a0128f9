"""Sending what the outbox holds: by the daemon, and for a moment at the end of `trivet run`."""

import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from trivet.core.errors import Conflict, NotFound, Unavailable
from trivet.core.facts import TaskMove, TaskOverride
from trivet.core.ids import new_id
from trivet.core.ports import Message, Notifier, Task
from trivet.workspace import wiring
from trivet.workspace.notify_file import NotifierSettings, read_notify_file
from trivet.workspace.outbox import QUEUE, Order, message_about
from trivet.workspace.workspace import Workspace

_LEASE_S = 120.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 10.0, 3600.0

OnTrouble = Callable[[str], None]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message; `trivet notify list` shows these."""

    key: str
    notifier: str
    event: str
    title: str
    state: str
    """`ready` (waits, or is tried again), `running`, `done` or `failed` (given up)."""
    attempts: int
    due: datetime | None = None
    error: str = ""


def deliver_messages(
    workspace: Workspace, *, patience_s: float, on_trouble: OnTrouble | None = None
) -> int:
    """Send what is due, until nothing is or the time is over; return how many arrived.

    Args:
        workspace: Whose messages.
        patience_s: About so long at most; what is left is sent by whoever comes next.
        on_trouble: Told what went wrong with a message.
    """
    until = time.monotonic() + patience_s
    owner = f"outbox-{os.getpid()}-{new_id()[-6:]}"
    arrived = 0
    while (left_s := until - time.monotonic()) > 0:
        tasks = workspace.stores.journal.claim(QUEUE, owner=owner, lease_s=_LEASE_S)
        if not tasks:
            break
        for task in tasks:
            move, trouble = _attempt(workspace, task, owner, left_s)
            _record(workspace, move)
            arrived += not trouble
            if trouble and on_trouble is not None:
                on_trouble(trouble)
    return arrived


def messages(workspace: Workspace, limit: int = 100) -> tuple[Sent, ...]:
    """Return what became of messages, newest first."""
    return tuple(_sent(task) for task in workspace.stores.journal.tasks(QUEUE, limit=limit))


def retry_message(workspace: Workspace, key: str) -> Sent:
    """Have a message that was given up sent once more, under the same key.

    Raises:
        NotFound: There is no message of this key.
        Conflict: It was not given up.
    """
    journal = workspace.stores.journal
    task = journal.task(key)
    if task is None or task.queue != QUEUE:
        raise NotFound(
            f"no message {key!r}", code="no-message", hint="`trivet notify list` shows the keys."
        )
    if task.state != "failed":
        raise Conflict(
            f"message {key!r} is {task.state}, not failed",
            code="not-failed",
            hint="Only a message that was given up is sent again by hand.",
        )
    again = TaskOverride(key=key, state="ready")
    workspace.stores.ledger.commit(workspace.scope.batch(f"notify retry {key}", tasks=[again]))
    return _sent(journal.task(key) or task)


def try_notifier(workspace: Workspace, name: str) -> Message:
    """Send a message of event `test` at once, past the queue.

    Raises:
        NotFound: `notify.toml` has no such notifier.
        Invalid: It cannot work as it is set.
        Unavailable: Its receiver did not answer.
    """
    settings = _settings_of(workspace, name)
    project = workspace.settings.project
    text = "This is how messages from Trivet arrive."
    message = message_about(project, "test", f"{project}: a test", text, {}, new_id())
    _notifier(workspace, name, settings).send(message, timeout_s=settings.timeout_s)
    return message


def _settings_of(workspace: Workspace, name: str) -> NotifierSettings:
    notifiers = read_notify_file(workspace.folder).notifiers
    if name not in notifiers:
        raise NotFound(
            f"notify.toml has no notifier {name!r}",
            code="no-notifier",
            hint=f"It has: {', '.join(notifiers) or 'none'}.",
        )
    return notifiers[name]


def _notifier(workspace: Workspace, name: str, settings: NotifierSettings) -> Notifier:
    return wiring.notifier(name, settings, workspace.folder)


def _attempt(workspace: Workspace, task: Task, owner: str, left_s: float) -> tuple[TaskMove, str]:
    """Try to send a message; return the task's next state, and what went wrong."""
    move = TaskMove(key=task.key, owner=owner, epoch=task.epoch, state="done")
    try:
        order = msgspec.json.decode(task.body, type=Order)
        settings = _settings_of(workspace, order.notifier)
        notifier = _notifier(workspace, order.notifier, settings)
        notifier.send(order.message, timeout_s=max(0.1, min(settings.timeout_s, left_s)))
    except Exception as error:  # noqa: BLE001  # one message that cannot be sent holds up no other
        return _after_trouble(task, move, error)
    return move, ""


def _after_trouble(task: Task, move: TaskMove, error: Exception) -> tuple[TaskMove, str]:
    message = getattr(error, "message", "") or f"{type(error).__name__}: {error}"
    is_over = not isinstance(error, Unavailable) or task.attempts >= task.max_attempts
    pause_s = min(_FIRST_PAUSE_S * 4 ** (task.attempts - 1), _LONGEST_PAUSE_S)
    pause_s *= random.uniform(0.5, 1.0)  # noqa: S311  # spreads retries in time
    result = msgspec.json.encode({"error": message})
    move = msgspec.structs.replace(
        move,
        state="failed" if is_over else "ready",
        result=result,
        due=None if is_over else datetime.now(UTC) + timedelta(seconds=pause_s),
    )
    then = "given up" if is_over else f"tried again in {pause_s:.0f} s"
    return move, f"message {task.key}: {message}; {then}"


def _record(workspace: Workspace, move: TaskMove) -> None:
    try:
        reason = f"message {move.key}: {move.state}"
        workspace.stores.ledger.commit(workspace.scope.batch(reason, tasks=[move]))
    except Conflict as error:
        if error.code != "fenced":  # whoever took it over answers for it
            raise


def _sent(task: Task) -> Sent:
    order = msgspec.json.decode(task.body, type=Order)
    result = msgspec.json.decode(task.result, type=dict[str, str]) if task.result else {}
    return Sent(
        key=task.key,
        notifier=order.notifier,
        event=order.message.event,
        title=order.message.title,
        state=task.state,
        attempts=task.attempts,
        due=task.due if task.state == "ready" else None,
        error=result.get("error", "") if task.state != "done" else "",
    )
