"""The parts behind `trivet up`: serving, runner and watcher, each in a process of its own."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec

from trivet.core.errors import Conflict, Invalid, TrivetError, Unavailable
from trivet.core.facts import TaskMove
from trivet.core.ports import Task
from trivet.core.work import Job
from trivet.http.application import Application
from trivet.http.guards import DoorPolicy, loopback_policy
from trivet.pipelines.logs.masking import plain, without_secrets
from trivet.pipelines.requests import PAST, QUEUE, read_request
from trivet.pipelines.tenure import LEASE_S, new_owner
from trivet.workspace import wiring
from trivet.workspace.doorkeeper import Doorkeeper
from trivet.workspace.notifying import deliver_messages
from trivet.workspace.workspace import Workspace

_GRACE_S = 15.0
_RETRY_S = 10.0
_EVENT_S = 0.25
"""How long an event may wait until the trigger that it wakes is looked at, in seconds."""
_BACKLOG = 1024
_TRUST_S = 0.1
"""By how much serving may see a revoked token too late, in seconds: asking at every request would
take a tenth of the time of a small model's answer."""
_MERGE_S = 60.0
"""How long segments of series wait to be merged, in seconds."""
_DONE = frozenset({0, 5})
"""Exit codes that end a task: success, and a gate's refusal, which a retry would only repeat."""
_RETRIED = frozenset({4, 7})
"""Exit codes that another time may not bring: somebody moved first, the world did not answer."""

Tell = Callable[[str], None]


def bind(port: int, *, patience_s: float = 0.0) -> socket.socket:
    """Listen on a loopback port; 0 takes any that is free.

    Args:
        port: The port.
        patience_s: How long to wait for whoever holds it: parts that lost their supervisor need a
            moment to end.

    Raises:
        Unavailable: The port is taken.
    """
    end = time.monotonic() + patience_s
    while True:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            if time.monotonic() >= end:
                raise Unavailable(
                    f"port {port} of 127.0.0.1 cannot be used: {error.strerror}",
                    code="port-taken",
                    hint="Stop what listens there, or take another: in trivet.toml, section [up], "
                    "or with `trivet tracking serve --port`.",
                ) from error
            time.sleep(0.2)
        else:
            return listener


def door_policy(workspace: Workspace, listener: socket.socket) -> DoorPolicy:
    """Return what the guards of a server on this socket go by."""
    limit = workspace.settings.serving.max_body_mib << 20
    return loopback_policy(listener.getsockname()[1], max_body_bytes=limit)


def serving_app(workspace: Workspace, policy: DoorPolicy) -> Application:
    """Build the inference application of a workspace."""
    return wiring.serving_app(
        workspace.stores,
        workspace.scope,
        workspace.serving,
        policy=policy,
        principal_of=Doorkeeper(workspace, trust_s=_TRUST_S).principal_of,
    )


def run_serving(workspace: Workspace, listener: socket.socket | None = None) -> None:
    """Answer predictions until told to stop.

    Args:
        workspace: Whose releases are served.
        listener: A listening socket that was handed down; one of its own when None.
    """
    own = listener or bind(workspace.settings.up.serving_port)
    wiring.run_server(serving_app(workspace, door_policy(workspace, own)), own)


def run_watcher(workspace: Workspace, tell: Tell) -> None:
    """Look at monitoring and triggers at every tick, one process at a time, until told to stop.

    Args:
        workspace: What is watched.
        tell: Told of each trouble once, until it changes.
    """
    owner = f"watcher-{os.getpid()}"
    tick_s = workspace.settings.up.tick_s
    journal = workspace.stores.journal
    told: dict[str, str] = {}
    begin_sending(workspace, tell)
    begin_merging(workspace, tell)
    try:
        while True:
            if journal.lease("watcher", owner=owner, lease_s=max(LEASE_S, 3 * tick_s)) is not None:
                told = _tell_changes(told, look(workspace), tell)
                _rest(workspace, tick_s)
            else:
                time.sleep(min(tick_s, LEASE_S))
    finally:
        # Given back, so that the next watcher does not wait for its end.
        journal.lease("watcher", owner=owner, lease_s=0.0)


def begin_sending(workspace: Workspace, tell: Tell) -> threading.Event:
    """Send messages at every tick, until the event that is returned is set, or the process ends.

    It happens in a thread of its own: a receiver that does not answer keeps nobody waiting.
    """
    over = threading.Event()
    arguments = (workspace, workspace.settings.up.tick_s, tell, over)
    threading.Thread(target=_send_messages, args=arguments, name="messages", daemon=True).start()
    return over


def begin_merging(workspace: Workspace, tell: Tell) -> threading.Event:
    """Merge the segments of series every minute, until the event that is returned is set.

    Whoever appends to series leaves segments behind, one for each process; merged they are read
    more quickly and take less room. Processes agree among themselves who does it.
    """
    over = threading.Event()
    threading.Thread(
        target=_merge_series, args=(workspace, tell, over), name="merges", daemon=True
    ).start()
    return over


def _merge_series(workspace: Workspace, tell: Tell, over: threading.Event) -> None:
    told: dict[str, str] = {}
    while not over.wait(_MERGE_S):
        now = _trouble_of(workspace.stores.series.compact)
        if not over.is_set():  # the same
            told = _tell_changes(told, {"series": now}, tell)


def _send_messages(workspace: Workspace, tick_s: float, tell: Tell, over: threading.Event) -> None:
    told: dict[str, str] = {}
    while not over.is_set():
        now = _trouble_of(lambda: deliver_messages(workspace, patience_s=None, on_trouble=tell))
        if not over.is_set():  # what goes wrong because the stores are closed is no news
            told = _tell_changes(told, {"messages": now}, tell)
        over.wait(tick_s)


def look(workspace: Workspace) -> dict[str, str]:
    """Look once at monitoring, triggers, back-fills and runs; return what went wrong in each.

    Trouble in one does not keep the other from its work, and the next look makes up for it.
    """
    return {
        "monitoring": _trouble_of(workspace.monitoring.look),
        "triggers": _trouble_of(workspace.triggers.look),
        "back-fills": _trouble_of(workspace.backfills.look),
        "runs": _trouble_of(workspace.pipelines.sweep),
    }


def _rest(workspace: Workspace, tick_s: float) -> None:
    """Wait for the next tick; look at a trigger sooner when an event wakes it."""
    end = time.monotonic() + tick_s
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(_EVENT_S, left))
        _trouble_of(workspace.triggers.look_at_woken)  # told at the next tick, if it lasts


def _tell_changes(before: dict[str, str], now: dict[str, str], tell: Tell) -> dict[str, str]:
    for name, trouble in now.items():
        if before.get(name, "") != trouble:
            tell(f"{name}: {trouble or 'well again'}")
    return now


def _trouble_of(look_once: Callable[[], object]) -> str:
    try:
        look_once()
    except TrivetError as error:
        return f"{error.message}. {error.hint}".strip()
    return ""


def run_runner(workspace: Workspace, tell: Tell, queues: Sequence[str] = (QUEUE, PAST)) -> None:
    """Execute asked-for runs, each in a child process, until told to stop.

    Args:
        workspace: Whose runs they are.
        tell: Told of each run's begin and end.
        queues: Where to take them from; a later queue's turn comes when the earlier ones are empty.
    """
    owner = new_owner()
    while True:
        task = _claim(workspace, owner, queues)
        if task is not None:
            label = _label_of(task)
            tell(f"{label} begins (attempt {task.attempts} of {task.max_attempts})")
            execute(workspace, task, owner)
            after = workspace.stores.journal.task(task.key)
            tell(f"{label}: {after.state if after else 'gone'}")
            if task.queue == PAST:
                workspace.backfills.look()  # the next one may begin, without waiting for a tick
        else:
            time.sleep(min(1.0, workspace.settings.up.tick_s))


def _label_of(task: Task) -> str:
    """Name what a task asks for as people write it: the flow and its parameters."""
    try:
        asked = read_request(task.body)
    except Invalid:
        return f"task {task.key}"
    return plain(" ".join([asked.flow, *(f"{k}={v}" for k, v in asked.parameters.items())]))


def _claim(workspace: Workspace, owner: str, queues: Sequence[str]) -> Task | None:
    for queue in queues:
        for task in workspace.stores.journal.claim(queue, owner=owner, lease_s=LEASE_S):
            return task
    return None


def execute(workspace: Workspace, task: Task, owner: str) -> TaskMove:
    """Run one claimed task in a child process, and record how it ended.

    The lease is prolonged meanwhile; when it is lost the child is ended and nothing is recorded,
    because whoever took the task over, or cancelled it, answers for it. A runner that is told to
    stop gives the task back, and the attempt does not count.
    """
    pid = str(os.getpid())
    held = ("--task", task.key, "--epoch", str(task.epoch), "--parent", pid)
    job = Job(
        # What is filled in about the past is no candidate for what is to come.
        arguments=(
            *(sys.executable, "-m", "trivet", "run", *held),
            *(["--no-delivery"] if task.queue == PAST else []),
        ),
        folder=str(workspace.folder),
    )
    move = TaskMove(key=task.key, owner=owner, epoch=task.epoch, state="ready", is_refunded=True)
    try:
        with _kept(workspace, task) as lost:
            move = _move_after(task, move, job, lost)
    finally:
        _record(workspace, move)
    return move


def _move_after(task: Task, move: TaskMove, job: Job, lost: threading.Event) -> TaskMove:
    try:
        outcome = wiring.runner().run(job, stop=lost)
    except TrivetError as error:
        return _ended(task, move, "ready", {"error": error.message})
    state = "done" if outcome.exit_code in _DONE else "failed"
    if outcome.exit_code < 0 or outcome.exit_code in _RETRIED:
        state = "ready"  # killed, or it may go better later
    result = {"exit_code": outcome.exit_code, "output": without_secrets(outcome.output)[-4096:]}
    return _ended(task, move, state, result)


def _ended(task: Task, move: TaskMove, state: str, result: Mapping[str, object]) -> TaskMove:
    is_spent = state == "ready" and task.attempts >= task.max_attempts
    due = datetime.now(UTC) + timedelta(seconds=_RETRY_S * task.attempts)
    return msgspec.structs.replace(
        move,
        is_refunded=False,
        state="failed" if is_spent else state,
        result=msgspec.json.encode(result),
        due=due if state == "ready" and not is_spent else None,
    )


def _record(workspace: Workspace, move: TaskMove) -> None:
    why = f"run asked for: {move.state}"
    try:
        workspace.stores.ledger.commit(workspace.scope.batch(why, tasks=[move]))
    except Conflict as error:
        if error.code != "fenced":
            raise


@contextmanager
def _kept(workspace: Workspace, task: Task) -> Generator[threading.Event]:
    """Prolong a task's lease for the time of a `with` block; the event says that it was lost.

    The child looks itself, every second; it is given some time to end in order before the event
    ends it.
    """
    over, lost = threading.Event(), threading.Event()

    def keep() -> None:
        while not over.wait(LEASE_S / 3):
            try:
                workspace.stores.journal.extend(task, LEASE_S)
            except Conflict:
                over.wait(_GRACE_S)
                lost.set()
                return
            except TrivetError:
                continue  # the stores are away for a moment; the lease is longer than that

    keeper = threading.Thread(target=keep, name="lease", daemon=True)
    keeper.start()
    try:
        yield lost
    finally:
        over.set()
        keeper.join()
