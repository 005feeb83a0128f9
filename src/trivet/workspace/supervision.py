"""Supervision: one process that starts the others, restarts those that die, and stops them all.

The parts are processes of their own, so that a user's code never shares one with the API, and a
crash in one is a restart and not an outage.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from trivet.core.errors import Conflict, Unavailable

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0
_GRACE_S = 15.0
_LOOK_S = 0.2


class Part:
    """One supervised process."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self.restarts = -1
        self.arguments = tuple(arguments)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._next = 0.0
        self._pause_s = _FIRST_PAUSE_S

    @property
    def pid(self) -> int | None:
        """The running process, or None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def tend(self, now: float, tell: Callable[[str], None]) -> None:
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
            tell(f"{self.name} ended with {code}; starting it again in {self._pause_s:.1f} s")
        if now >= self._next:
            self._process = subprocess.Popen(self.arguments, cwd=self._folder)
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
        parts: What to run.
        folder: The workspace's own folder; a lock in it makes sure there is one supervisor.
        tell: Where to say what happens.
    """

    def __init__(self, parts: Sequence[Part], folder: Path, tell: Callable[[str], None]) -> None:
        self.parts = tuple(parts)
        self._folder = folder
        self._tell = tell
        self._stopping = 0

    def run(self, on_started: Callable[[], None] | None = None) -> int:
        """Run until SIGTERM or SIGINT; a second signal stops at once.

        Raises:
            Conflict: Another supervisor runs on this workspace.
        """
        with _only_one(self._folder / "up.lock"):
            previous = {
                number: signal.signal(number, self._on_signal)
                for number in (signal.SIGTERM, signal.SIGINT)
            }
            try:
                self._tend()
                if on_started:
                    on_started()
                self._watch()
            finally:
                self._stop_all()
                for number, handler in previous.items():
                    signal.signal(number, handler)
        return 0

    def _tend(self) -> None:
        for part in self.parts:
            part.tend(time.monotonic(), self._tell)

    def _watch(self) -> None:
        while not self._stopping:
            self._tend()
            time.sleep(_LOOK_S)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
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


class _only_one:  # noqa: N801  # reads as a statement
    """Hold a file lock, so that there is one supervisor of a workspace."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def __enter__(self) -> None:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unavailable(f"{self._path} cannot be opened: {error.strerror}") from error
        self._file = os.fdopen(descriptor, "r+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise Conflict(
                "`trivet up` runs on this project already",
                code="already-up",
                hint="Stop it first, or use the one that runs.",
            ) from error

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def part_of(name: str, folder: Path, *options: str) -> Part:
    """Describe a part that runs as `trivet up --part NAME` in the project's folder."""
    arguments = [sys.executable, "-m", "trivet", "up", "--part", name, *options]
    return Part(name, arguments, folder)
