"""Supervision: one process that starts the others, restarts those that die, and stops them all.

The parts are processes of their own, so that a user's code never shares one with the API, and a
crash in one is a restart and not an outage. Listening sockets belong to the supervisor and are
handed down: a port that is taken is one message at the start, and while a part is restarted its
callers wait in the queue instead of being turned away.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from trivet.core.disk import is_locked, try_lock
from trivet.core.errors import Conflict, Unavailable

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
_GRACE_S = 15.0
_LOOK_S = 0.2
_ASKED_S = 0.5
"""How long somebody who asks for a supervisor may hold its lock, on a machine that is busy."""

Tell = Callable[[str], None]


class Part:
    """One supervised process.

    Args:
        name: For messages.
        arguments: The command line.
        folder: Where it runs.
        handed_down: File descriptors that it inherits under their own numbers.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], folder: Path, handed_down: Sequence[int] = ()
    ) -> None:
        self.name = name
        self.restarts = -1
        self.arguments = tuple(arguments)
        self._folder = folder
        self._handed_down = tuple(handed_down)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._next = 0.0
        self._pause_s = _FIRST_PAUSE_S

    @property
    def pid(self) -> int | None:
        """The running process, or None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def tend(self, now: float, tell: Tell) -> None:
        """Start the process when it is not running and its pause is over."""
        if self.pid is not None:
            return
        if self._process is not None:
            code = self._process.returncode
            self._process = None
            # One that ran well for a while starts afresh; one that dies at once waits longer.
            steady = now - self._started > _STEADY_S
            self._pause_s = _FIRST_PAUSE_S if steady else min(self._pause_s * 2, _LONGEST_PAUSE_S)
            self._next = now + self._pause_s
            tell(f"{self.name} {_how_it_ended(code)}; starting it again in {self._pause_s:g} s")
        if now >= self._next:
            self._process = subprocess.Popen(
                self.arguments,
                cwd=self._folder,
                pass_fds=self._handed_down,
                # A Ctrl-C in the terminal is the supervisor's alone: it ends the parts in order.
                process_group=0,
            )
            self._started = now
            self.restarts += 1

    def stop(self, number: signal.Signals) -> None:
        """Send a signal to the process when it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, until: float) -> bool:
        """Wait for the end of the process until a moment of the monotonic clock."""
        if self._process is None:
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, until - time.monotonic()))
        return self._process.poll() is not None


class Supervisor:
    """Keeps parts running until it is told to stop.

    Args:
        parts: What to run, in the order to start.
        tell: Where to say what happens.
        on_look: Called at every look, a few times a second, while the parts run.
    """

    def __init__(
        self, parts: Sequence[Part], tell: Tell, on_look: Callable[[], None] | None = None
    ) -> None:
        self.parts = tuple(parts)
        self._tell = tell
        self._on_look = on_look
        self._stopping = 0
        self.signal: int | None = None
        """The signal that ended it; None while it runs, and when `stop` did."""

    def run(self) -> None:
        """Run until SIGTERM, SIGINT or SIGHUP; a second signal stops at once."""
        previous = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }
        try:
            while not self._stopping:
                for part in self.parts:
                    part.tend(time.monotonic(), self._tell)
                if self._on_look is not None:
                    self._on_look()
                time.sleep(_LOOK_S)
        finally:
            self._stop_all()
            for number, action in previous.items():
                signal.signal(number, action)

    def stop(self) -> None:
        """Stop the parts, and then `run`; for whoever sees at a look that all is done."""
        self._stopping += 1

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal = self.signal or number
        self._stopping += 1

    def _stop_all(self) -> None:
        # In reverse: whoever asks for work goes before whoever does it.
        for part in reversed(self.parts):
            part.stop(signal.SIGTERM)
        end = time.monotonic() + _GRACE_S
        while time.monotonic() < end and self._stopping < 2:
            if all(part.wait(time.monotonic() + 0.1) for part in self.parts):
                return
        for part in self.parts:
            part.stop(signal.SIGKILL)
            part.wait(time.monotonic() + 5.0)


@contextmanager
def only_supervisor(folder: Path) -> Generator[None]:
    """Hold the lock that makes sure there is one supervisor of a workspace.

    Args:
        folder: The workspace's own folder.

    Raises:
        Conflict: Another supervisor runs.
        Unavailable: The lock cannot be opened.
    """
    with _lock_file(folder) as fd:
        end = time.monotonic() + _ASKED_S
        while not try_lock(fd):
            if time.monotonic() > end:
                raise Conflict(
                    "`trivet up` runs on this project already",
                    code="already-up",
                    hint="Use the one that runs, or stop it first.",
                )
            time.sleep(0.01)
        yield


def is_supervised(folder: Path) -> bool:
    """Say whether a supervisor runs on the workspace in this folder."""
    with _lock_file(folder) as fd:
        return is_locked(fd)


@contextmanager
def _lock_file(folder: Path) -> Generator[int]:
    path = folder / "up.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be opened: {error.strerror}",
            code="no-lock",
            hint="Make the folder writable by its owner.",
        ) from error
    try:
        yield fd
    finally:
        os.close(fd)


def part_of(name: str, folder: Path, *options: str, handed_down: Sequence[int] = ()) -> Part:
    """Describe a part that runs as `trivet up --part NAME` in the project's folder."""
    role = name.partition(" ")[0]
    arguments = [sys.executable, "-m", "trivet", "up", "--part", role, *options]
    return Part(name, [*arguments, "--parent", str(os.getpid())], folder, handed_down)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
