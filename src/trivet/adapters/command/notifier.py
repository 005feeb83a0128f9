"""A message as JSON on the standard input of a program; no shell lies between."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trivet.core.errors import Invalid, Unavailable
from trivet.core.ports import Message

_TAIL = 500
_PIECE = 65_536
_LOOK_S = 0.05


class CommandNotifier:
    """Runs a program per message; exit code 0 says that it took it.

    In its environment `TRIVET_NOTIFY_KEY`, `_EVENT` and `_TITLE` say the most important. What it
    leaves running when it ends goes on; what runs when the time is over is killed with it.

    Args:
        arguments: The program and its arguments.
        folder: Where it runs.
    """

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self._arguments = list(arguments)
        self._folder = folder

    def send(self, message: Message, *, timeout_s: float) -> None:
        program = self._arguments[0]
        until = time.monotonic() + timeout_s
        try:
            process = self._started(message)
        except OSError as error:
            raise Invalid(
                f"{program} cannot be started: {error.strerror}",
                code="not-taken",
                hint="Check command in notify.toml, then `trivet notify retry KEY`.",
            ) from error
        try:
            tail = _Talk(process, msgspec.json.encode(message)).until_it_ends(until)
        except TimeoutError as error:
            raise Unavailable(
                f"{program} took longer than {timeout_s:.3g} s",
                code="no-answer",
                hint="It is tried again; raise timeout_s in notify.toml.",
            ) from error
        finally:
            _end(process)
        if process.returncode:
            said = tail.decode(errors="replace").strip()
            raise Unavailable(
                f"{program} ended with exit code {process.returncode}: {said}",
                code="no-answer",
                hint="It is tried again.",
            )

    def _started(self, message: Message) -> subprocess.Popen[bytes]:
        told = {
            "TRIVET_NOTIFY_KEY": message.key,
            "TRIVET_NOTIFY_EVENT": message.event,
            "TRIVET_NOTIFY_TITLE": message.title.replace("\0", ""),
        }
        return subprocess.Popen(
            self._arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            cwd=self._folder,
            env={**os.environ, **told},
            start_new_session=True,
        )


class _Talk:
    """Hands a program its input and keeps the end of what it prints, while it runs.

    The process is waited for and not its pipes, which something that it left running may hold.
    """

    def __init__(self, process: subprocess.Popen[bytes], data: bytes) -> None:
        self._process = process
        self._left = memoryview(data)
        self._tail = b""

    def until_it_ends(self, until: float) -> bytes:
        """Return the last bytes that it printed.

        Raises:
            TimeoutError: It still runs when the monotonic clock reads `until`.
        """
        with selectors.DefaultSelector() as waiting:
            for pipe, event in (
                (self._process.stdin, selectors.EVENT_WRITE),
                (self._process.stdout, selectors.EVENT_READ),
            ):
                if pipe is not None:
                    os.set_blocking(pipe.fileno(), False)
                    waiting.register(pipe, event, pipe)
            while self._process.poll() is None:
                if time.monotonic() >= until:
                    raise TimeoutError
                self._move(waiting, _LOOK_S)
            self._move(waiting, 0)  # what it printed last
        return self._tail

    def _move(self, waiting: selectors.BaseSelector, wait_s: float) -> None:
        if not waiting.get_map():
            time.sleep(wait_s)
            return
        for key, event in waiting.select(wait_s):
            try:
                writes = event & selectors.EVENT_WRITE
                is_open = self._write(key.fd) if writes else self._read(key.fd)
            except BlockingIOError:
                continue
            except OSError:  # it does not want to read its input
                is_open = False
            if not is_open:
                waiting.unregister(key.fileobj)
                key.data.close()

    def _write(self, fd: int) -> bool:
        self._left = self._left[os.write(fd, self._left[:_PIECE]) :]
        return bool(self._left)

    def _read(self, fd: int) -> bool:
        piece = os.read(fd, _PIECE)
        self._tail = (self._tail + piece)[-_TAIL:]
        return bool(piece)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is over its time, and let go of the pipes."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
