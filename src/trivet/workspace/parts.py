"""The parts behind `trivet up`: serving, runner and watcher, each in a process of its own."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from trivet.access.permissions import Principal
from trivet.access.tokens import read_or_create_token, token_digest
from trivet.core.errors import Conflict, TrivetError, Unavailable
from trivet.core.facts import TaskMove
from trivet.core.ports import Job, Task
from trivet.http.guards import DoorPolicy, loopback_policy
from trivet.pipelines.requests import QUEUE
from trivet.workspace import wiring
from trivet.workspace.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Generator

    from trivet.http.application import Application

_LEASE_S = 30.0
_KNOWN_FOR_S = 5.0


def bind(port: int) -> socket.socket:
    """Bind a loopback port; 0 takes any that is free.

    Raises:
        Unavailable: The port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"port {port} cannot be bound: {error.strerror}",
            code="port-taken",
            hint="Set another one in trivet.toml, section [up].",
        ) from error
    return listener


class Doorkeeper:
    """Knows who holds which token: the workspace's own, then those that were issued.

    Answers are remembered for a few seconds, so that a hot path does not ask the ledger; a
    revoked token is refused at the latest after that time.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        own = read_or_create_token(workspace.opened.folder / "token")
        self._own = token_digest(own)
        self._known: dict[str, tuple[float, Principal]] = {}

    def principal_of(self, secret: str) -> Principal:
        """Return who holds a token.

        Raises:
            Forbidden: The token is not valid.
        """
        digest = token_digest(secret)
        # Digests are compared, not tokens: what a timing could reveal of one is of no use.
        if digest == self._own:
            return Principal(name=self._workspace.scope.actor, role="admin")
        found = self._known.get(digest)
        now = time.monotonic()
        if found is None or now - found[0] > _KNOWN_FOR_S:
            found = (now, self._workspace.access.principal(secret))
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[digest] = found
        return found[1]


def serving_app(workspace: Workspace, port: int) -> "Application":
    """Build the inference application of a workspace."""
    return wiring.serving_app(
        workspace.stores,
        workspace.scope,
        workspace.serving,
        policy=_policy(workspace, port),
        principal_of=Doorkeeper(workspace).principal_of,
    )


def run_serving(workspace: Workspace) -> None:
    """Answer predictions until told to stop."""
    listener = bind(workspace.settings.up.serving_port)
    app = serving_app(workspace, listener.getsockname()[1])
    wiring.run_server(app, listener)


def run_watcher(workspace: Workspace) -> None:
    """Look at monitoring and triggers at every tick, one process at a time."""
    owner = f"watcher-{os.getpid()}"
    while True:
        lease_s = max(_LEASE_S, 3 * workspace.settings.up.tick_s)
        if workspace.stores.journal.lease("watcher", owner=owner, lease_s=lease_s) is not None:
            try:
                workspace.monitoring.look()
                workspace.triggers.look()
            except TrivetError as error:
                # The next look makes up for this one; its reason must not be lost.
                print(f"watcher: {error.message}", file=sys.stderr, flush=True)  # noqa: T201
        time.sleep(workspace.settings.up.tick_s)


def run_runner(workspace: Workspace) -> None:
    """Execute asked-for runs, each in a child process, until told to stop."""
    owner = f"runner-{os.getpid()}"
    while True:
        tasks = workspace.stores.journal.claim(QUEUE, owner=owner, lease_s=_LEASE_S)
        for task in tasks:
            execute(workspace, task, owner)
        if not tasks:
            time.sleep(min(1.0, workspace.settings.up.tick_s))


def execute(workspace: Workspace, task: Task, owner: str) -> TaskMove:
    """Run one claimed task in a child process, and record how it ended.

    The lease is prolonged meanwhile; when it is lost nothing is recorded, because whoever took
    the task over answers for it.
    """
    job = Job(
        arguments=(sys.executable, "-m", "trivet", "run", "--task", task.key),
        folder=str(workspace.folder),
    )
    with _kept(workspace, task):
        try:
            outcome = wiring.runner().run(job)
            state = "done" if outcome.exit_code in _ANSWERED else "ready"
            result = {"exit_code": outcome.exit_code, "output": outcome.output[-4096:]}
        except TrivetError as error:
            state, result = "ready", {"error": error.message}
    if state == "ready" and task.attempts >= task.max_attempts:
        state = "failed"
    move = TaskMove(
        key=task.key,
        owner=owner,
        epoch=task.epoch,
        state=state,
        result=msgspec.json.encode(result),
    )
    try:
        workspace.stores.ledger.commit(
            workspace.scope.batch(f"run asked for: {state}", tasks=[move])
        )
    except Conflict as error:
        if error.code != "fenced":
            raise
    return move


_ANSWERED = frozenset({0, 5})
"""Exit codes that end a task: success, and a gate's refusal, which a retry would only repeat."""


@contextmanager
def _kept(workspace: Workspace, task: Task) -> "Generator[None]":
    over = threading.Event()

    def keep() -> None:
        held = task
        while not over.wait(_LEASE_S / 3):
            try:
                held = workspace.stores.journal.extend(held, _LEASE_S)
            except TrivetError:
                return

    keeper = threading.Thread(target=keep, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def _policy(workspace: Workspace, port: int) -> DoorPolicy:
    limit = workspace.settings.serving.max_body_mib << 20
    return loopback_policy(port, max_body_bytes=limit)


PARTS: dict[str, Callable[[Workspace], None]] = {
    "serving": run_serving,
    "runner": run_runner,
    "watcher": run_watcher,
}
