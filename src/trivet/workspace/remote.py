"""A workspace whose runs belong to a server: written here first, and sent by a thread.

A training never waits for the server. What it has not taken yet when the program ends, however it
ends, stays in the spool and is sent later: by the next program that reports to the same server, or
by `trivet sync`.
"""

import atexit
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cached_property
from typing import Any, Final, NoReturn

from trivet.core.clock import Clock
from trivet.core.courier import Courier
from trivet.core.errors import NotFound, TrivetError, Unavailable, Unsupported
from trivet.core.facts import Scope
from trivet.core.ids import check_id
from trivet.core.ports import Stores
from trivet.core.training import harmless
from trivet.tracking.autolog.libraries import Libraries
from trivet.tracking.found import RunFinder
from trivet.tracking.reporting.buffering import flush_all
from trivet.tracking.reporting.liveness import BEAT_S, Liveness
from trivet.tracking.service import TrackingService
from trivet.tracking.syncing.asking import ask, give_signs
from trivet.tracking.syncing.finding import FinderThere
from trivet.tracking.syncing.sending import Sender, Tally
from trivet.tracking.syncing.wire import LastStep
from trivet.workspace import wiring
from trivet.workspace.addresses import Address, reach
from trivet.workspace.sending import last_step_left, send_spools
from trivet.workspace.settings import Settings
from trivet.workspace.spools import PROJECT, Spool, new_spool
from trivet.workspace.workspace import Workspace

_log = logging.getLogger("trivet.tracking")
_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_SHARE: Final = 4.0
"""Sending takes at most one part in five of the time."""
_AGAIN_S: Final = 10.0
"""How long something that the server refused waits until it is offered again."""
_PATIENCE_S: Final = 10.0
"""How long the end of a program waits while nothing moves."""


class RemoteWorkspace(Workspace):
    """Runs that are reported to a server. Close it, or use it as a context manager.

    Args:
        address: The server.
        token: What it knows.
        actor: In whose name runs are reported; the server records who holds the token, too.
        clock: The event clock; the system's when None.
    """

    def __init__(
        self,
        address: Address,
        token: str,
        *,
        actor: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.address = address
        self._token = token
        self._is_closed = False
        self._spool = new_spool(address.url)
        settings = Settings(project=PROJECT)
        opened = self._spool.open()
        super().__init__(self._spool.folder, settings, actor=actor, clock=clock, opened=opened)
        self._post = Post(self._spool, opened.stores, self.scope, address, token)
        self._pid = os.getpid()
        # A program may keep no more of it than a run, and close nothing. What is registered last
        # is done first: the stores are open by now, and closed after this.
        atexit.register(self.close)

    @cached_property
    def tracking(self) -> TrackingService:
        """Runs that programs report."""
        libraries = wiring.training_libraries(self.folder)
        return RemoteTracking(self.stores, self.scope, libraries, self._last_step, self._reach)

    @cached_property
    def access(self) -> NoReturn:
        """Not reached by an address."""
        raise self._not_here("access")

    @cached_property
    def data(self) -> NoReturn:
        """Not reached by an address."""
        raise self._not_here("data")

    @cached_property
    def pipelines(self) -> NoReturn:
        """Not reached by an address."""
        raise self._not_here("pipelines")

    @cached_property
    def models(self) -> NoReturn:
        """Not reached by an address."""
        raise self._not_here("models")

    @cached_property
    def releases(self) -> NoReturn:
        """Not reached by an address."""
        raise self._not_here("releases")

    @cached_property
    def serving(self) -> NoReturn:
        """Not reached by an address."""
        raise self._not_here("serving")

    @cached_property
    def monitoring(self) -> NoReturn:
        """Not reached by an address."""
        raise self._not_here("monitoring")

    @cached_property
    def triggers(self) -> NoReturn:
        """Not reached by an address."""
        raise self._not_here("triggers")

    @cached_property
    def backfills(self) -> NoReturn:
        """Not reached by an address."""
        raise self._not_here("backfills")

    def acting_for(self, actor: str) -> NoReturn:
        """Refuse: the server decides by the token who acts."""
        raise self._not_here(f"acting_for({actor!r})")

    def sync(self, *, timeout_s: float = 60.0) -> bool:
        """Wait until the server has everything that was reported so far.

        Args:
            timeout_s: How long to wait at most, in seconds.

        Returns:
            Whether it has; otherwise what is left is sent later.
        """
        flush_all()
        return self._post.wait(timeout_s)

    def close(self) -> None:
        """Send what waits, unless the server does not answer, and let go of the stores.

        What could not be sent stays in the spool; `trivet sync` sends it.
        """
        if os.getpid() != self._pid or self._is_closed:
            return
        self._is_closed = True
        atexit.unregister(self.close)
        flush_all()
        if not self._post.end():
            _log.warning("runs wait to be sent to %s; `trivet sync` sends them", self.address.url)
            self._spool_left()
            return
        super().close()
        self._spool.remove()
        self._spool.let_go()

    def _reach(self) -> Courier:
        return reach(self.address, self._token)[0]

    def _last_step(self, run: str) -> int:
        """Return the last step of a run, of which a dead program's may not be sent yet."""
        return max(last_step_left(run), self._last_step_there(run))

    def _last_step_there(self, run: str) -> int:
        """Ask the server for the last step of a run; -1 when it does not know, or say, in time."""
        try:
            courier, _ = reach(self.address, self._token, timeout_s=_PATIENCE_S / 2)
            with closing(courier):
                return ask(courier, "GET", f"/sync/runs/{run}/last-step", LastStep).step
        except NotFound:
            return -1
        except TrivetError as error:
            _log.warning("the last step of run %s is not known: %s", run, error.message)
            return -1

    def _spool_left(self) -> None:
        if self._post.has_stopped:  # otherwise its thread may still write: the system lets go
            super().close()
            self._spool.let_go()

    def _not_here(self, room: str) -> Unsupported:
        return Unsupported(
            f"{room} is not reached by an address; runs are",
            code="by-folder",
            hint="Open the project's folder on the server's machine, or use its HTTP API.",
        )


class RemoteTracking(TrackingService):
    """Runs of a program that belong to a server.

    `search` and `finder` ask the server. All else knows the runs of this program alone.

    Args:
        stores: The spool's.
        scope: Its project, and the actor.
        libraries: As in `Programs`.
        last_step_there: Asks the server for the last step of a run.
        reach: Makes a connection to the server.
    """

    def __init__(
        self,
        stores: Stores,
        scope: Scope,
        libraries: Libraries,
        last_step_there: Callable[[str], int],
        reach: Callable[[], Courier],
    ) -> None:
        super().__init__(stores, scope, libraries=libraries)
        self._last_step_there = last_step_there
        self._reach = reach

    @cached_property
    def finder(self) -> RunFinder:
        """The search over all runs of the server's project."""
        return FinderThere(self._reach)

    def _meet(self, run: str) -> None:
        # It may be another machine's, and on its way: the server brings them together.
        self.reported.stand_in(check_id(run, "run"))

    def _last_step(self, run: str) -> int:
        return max(super()._last_step(run), self._last_step_there(run))

    def _commit(self, *_: Any, **__: Any) -> NoReturn:  # noqa: ANN401  # whatever it is, it is not taken
        raise Unsupported(
            "runs of flows and notes are not sent to a server; runs that a program reports are",
            code="by-folder",
            hint="Use `begin`, or open the project's folder on the server's machine.",
        )


class Post:
    """Sends what is in a spool, in a thread, until it is ended.

    Args:
        spool: What is sent.
        stores: Its stores.
        scope: Their project.
        address: The server.
        token: What it knows.
    """

    def __init__(
        self, spool: Spool, stores: Stores, scope: Scope, address: Address, token: str
    ) -> None:
        self._spool = spool
        self._stores = stores
        self._scope = scope
        self._address = address
        self._token = token
        self._courier: Courier | None = None
        self._sender: Sender | None = None
        self._ending = threading.Event()
        self._wake = threading.Event()
        self._asked = 0
        self._answered = 0
        self._has_all = False
        self._moved = time.monotonic()
        self._offered = 0.0
        self._trouble = ""
        self._thread = self._begin("trivet-post", self._work)
        self._begin("trivet-signs", self._give_signs)

    @property
    def has_stopped(self) -> bool:
        """Whether nothing is sent any more."""
        return not self._thread.is_alive()

    def wait(self, timeout_s: float) -> bool:
        """Wait until all there is was sent; say whether it was."""
        end = time.monotonic() + timeout_s
        self._asked += 1
        asked = self._asked
        self._wake.set()
        while self._answered < asked and time.monotonic() < end and self._thread.is_alive():
            time.sleep(0.01)
        return self._answered >= asked and self._has_all

    def end(self) -> bool:
        """Send once more, for as long as something moves, and stop; say whether all was sent."""
        self._moved = time.monotonic()
        self._ending.set()
        self._wake.set()
        while self._thread.is_alive() and time.monotonic() - self._moved < _PATIENCE_S:
            self._thread.join(0.05)
        return not self._thread.is_alive() and self._has_all

    def _begin(self, name: str, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread

    def _give_signs(self) -> None:
        """Give signs of life on a connection of their own: a large file may take the other long."""
        liveness = Liveness(self._stores, self._scope)
        courier: Courier | None = None
        while not self._ending.wait(BEAT_S):
            try:
                if liveness.runs():
                    courier = courier or reach(self._address, self._token)[0]
                    give_signs(courier, liveness)
            except Exception:  # noqa: BLE001  # the other thread says what is wrong
                courier = None
        if courier is not None:
            courier.close()

    def _work(self) -> None:
        pause_s, is_first = _PAUSE_S, True
        while True:
            self._wake.wait(pause_s)
            self._wake.clear()
            is_last, asked = self._ending.is_set(), self._asked
            began = time.monotonic()
            try:
                self._has_all = self._turn(is_urgent=is_last or asked > self._answered)
                pause_s = max(_PAUSE_S, _SHARE * (time.monotonic() - began))
                self._say("")
                if is_first and not is_last:
                    is_first = False
                    self._begin("trivet-leftovers", self._send_leftovers)
            except TrivetError as error:
                self._has_all = False
                self._forget()
                pause_s = self._longer(pause_s, error)
                self._say(f"{error.message}. {error.hint}".strip())
            except Exception as error:  # noqa: BLE001  # a thread's own edge: the training goes on
                self._has_all = False
                pause_s = _LONGEST_PAUSE_S
                self._say(repr(error))
            self._answered = asked
            if is_last:
                if self._courier is not None:
                    self._courier.close()
                return

    def _turn(self, *, is_urgent: bool) -> bool:
        """Send what is new; say whether the server has everything."""
        sender = self._sender or self._connect()
        now = time.monotonic()
        again = sender.waits and (is_urgent or now - self._offered > _AGAIN_S)
        if again or sender.has_news():
            sender.send(again=again)
            self._offered = now if again else self._offered
        return not sender.waits and not sender.has_news()

    def _connect(self) -> Sender:
        self._courier, _ = reach(self._address, self._token)
        self._sender = Sender(
            self._stores,
            self._scope,
            self._courier,
            server=self._address.url,
            progress=self._note_progress,
        )
        return self._sender

    @harmless
    def _send_leftovers(self) -> None:
        for _ in send_spools(self._address, self._token):
            if self._ending.is_set():
                return

    def _note_progress(self, _: Mapping[str, Tally]) -> None:
        self._moved = time.monotonic()

    def _forget(self) -> None:
        """Begin anew with the next turn: what was known of the server may be wrong."""
        if self._courier is not None:
            self._courier.close()
        self._courier = self._sender = None

    def _longer(self, pause_s: float, error: TrivetError) -> float:
        if not isinstance(error, Unavailable):
            return _LONGEST_PAUSE_S  # a person must do something first
        # Not all programs at once, when a server comes back.
        return min(_LONGEST_PAUSE_S, 2 * pause_s) * random.uniform(0.8, 1.2)  # noqa: S311  # no secret

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            _log.warning("%s: %s Runs are kept here and sent later.", self._address.url, trouble)
        elif self._trouble and not trouble:
            _log.warning("%s: well again", self._address.url)
        self._trouble = trouble
