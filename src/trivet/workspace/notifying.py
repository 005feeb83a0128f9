"""Sending what the outbox holds: by the daemon, and for a moment at the end of `trivet run`.

Each message that is under way has a thread of its own, and each notifier one such message: a
receiver that does not answer holds up nobody else. What does not come back from its thread in time
(a name that nobody resolves) is left behind there.
"""

import os
import queue
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from trivet.core.errors import Conflict, NotFound, TrivetError, Unavailable
from trivet.core.facts import TaskMove, TaskOverride
from trivet.core.ids import new_id
from trivet.core.outbox import QUEUE, Order
from trivet.core.ports import Message, Notifier, Task
from trivet.tracking.webhooks.announcing import PREFIX
from trivet.tracking.webhooks.delivering import HookNotifier
from trivet.workspace import wiring
from trivet.workspace.notify_file import NotifierSettings, read_notify_file
from trivet.workspace.outbox import message_about
from trivet.workspace.workspace import Workspace

_LEASE_S = 120.0
_LEAST_S = 0.1
_MOST_AT_ONCE = 16
_LOOK_S = 1.0
_HOOK_S = 10.0
"""How long one attempt at a web hook that was registered may take in all."""
_GRACE_S = 0.5
"""How long a notifier may take to notice that its time is over."""
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
    workspace: Workspace, *, patience_s: float | None, on_trouble: OnTrouble | None = None
) -> int:
    """Send what is due, until nothing is or the time is over; return how many arrived.

    Args:
        workspace: Whose messages.
        patience_s: So long at most; what is left is sent by whoever comes next. None: until
            nothing is due, however long it takes.
        on_trouble: Told what went wrong with a message.
    """
    until = None if patience_s is None else time.monotonic() + patience_s
    owner = f"outbox-{os.getpid()}-{new_id()[-6:]}"
    flights: dict[_Flight, Task] = {}
    ended: queue.SimpleQueue[_Flight] = queue.SimpleQueue()
    arrived = 0
    while True:
        flights |= _begun(workspace, owner, until, ended, _MOST_AT_ONCE - len(flights))
        if not flights:
            return arrived
        _wait_for_one(ended, min(flight.until for flight in flights))
        for flight in [item for item in flights if item.is_over]:
            move, trouble = _outcome(flights.pop(flight), flight.error())
            _record(workspace, move)
            arrived += not trouble
            if trouble and on_trouble is not None:
                on_trouble(trouble)


class _Flight:
    """An attempt to send something, in a thread of its own that may be left behind.

    Args:
        send: What to do; given the time it has, in seconds.
        timeout_s: How much that is.
        ended: Gets the flight when it is over.
    """

    def __init__(
        self,
        send: Callable[[float], None],
        timeout_s: float,
        ended: "queue.SimpleQueue[_Flight] | None" = None,
    ) -> None:
        self.timeout_s = timeout_s
        self.until = time.monotonic() + timeout_s + _GRACE_S
        self._send = send
        self._ended = ended
        self._error: Exception | None = None
        self._over = threading.Event()
        threading.Thread(target=self._fly, name="message", daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether it ended, or took too long."""
        return self._over.is_set() or time.monotonic() >= self.until

    def error(self) -> Exception | None:
        """Wait for the end; return what went wrong."""
        if self._over.wait(max(0.0, self.until - time.monotonic())):
            return self._error
        return Unavailable(
            f"the receiver did not answer within {self.timeout_s:.3g} s",
            code="no-answer",
            hint="It is tried again; check the address and the network.",
        )

    def _fly(self) -> None:
        try:
            self._send(self.timeout_s)
        except Exception as error:  # noqa: BLE001  # one message that cannot be sent holds up no other
            self._error = error
        self._over.set()
        if self._ended is not None:
            self._ended.put(self)


def _begun(
    workspace: Workspace,
    owner: str,
    until: float | None,
    ended: "queue.SimpleQueue[_Flight]",
    most: int,
) -> dict[_Flight, Task]:
    left_s = 3600.0 if until is None else until - time.monotonic()
    if left_s < _GRACE_S + _LEAST_S or not most:
        return {}
    journal = workspace.stores.journal
    flights: dict[_Flight, Task] = {}
    for task in journal.claim(QUEUE, owner=owner, lease_s=_LEASE_S, limit=most):
        timeout_s = min(_timeout_of(workspace, task), left_s - _GRACE_S)
        send = partial(_send, workspace, task)
        flights[_Flight(send, timeout_s, ended)] = task
    return flights


def _wait_for_one(ended: "queue.SimpleQueue[_Flight]", until: float) -> None:
    with suppress(queue.Empty):
        # Not for longer than a look: another message may have come.
        ended.get(timeout=min(_LOOK_S, max(0.0, until - time.monotonic())))


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
    notifier = _notifier(workspace, name, settings)
    flight = _Flight(lambda s: notifier.send(message, timeout_s=s), settings.timeout_s)
    error = flight.error()
    if error is not None:
        raise error
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


def _timeout_of(workspace: Workspace, task: Task) -> float:
    try:
        order = msgspec.json.decode(task.body, type=Order)
        if order.notifier.startswith(PREFIX):
            return _HOOK_S
        return _settings_of(workspace, order.notifier).timeout_s
    except (msgspec.DecodeError, TrivetError, OSError):
        return _GRACE_S  # sending says what is wrong


def _send(workspace: Workspace, task: Task, timeout_s: float) -> None:
    order = msgspec.json.decode(task.body, type=Order)
    _notifier_of(workspace, order.notifier).send(order.message, timeout_s=timeout_s)


def _notifier_of(workspace: Workspace, name: str) -> Notifier:
    if not name.startswith(PREFIX):
        return _notifier(workspace, name, _settings_of(workspace, name))
    poster = wiring.poster(workspace.settings.webhooks.networks)
    return HookNotifier(workspace.stores, name.removeprefix(PREFIX), poster)


def _outcome(task: Task, error: Exception | None) -> tuple[TaskMove, str]:
    """Return the next state of a task that was tried, and what went wrong."""
    move = TaskMove(key=task.key, owner=task.owner or "", epoch=task.epoch, state="done")
    return (move, "") if error is None else _after_trouble(task, move, error)


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
