"""The `Runner` over child processes."""

import contextlib
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping

from trivet.core.errors import Unavailable
from trivet.core.work import Job, Outcome

_TAIL_BYTES = 64 << 10
_LINE_BYTES = 64 << 10
_GRACE_S = 5.0
_LOOK_S = 0.2
"""A wait without end may never notice Ctrl-C, which libraries (Polars) take over."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.05

PASSED_ON = (
    *("HOME", "LANG", "LOGNAME", "PATH", "PYTHONPATH", "SHELL", "TMPDIR", "TZ", "USER"),
    *("VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "OMP_NUM_THREADS"),
    *("APPDATA", "COMSPEC", "LOCALAPPDATA", "PATHEXT", "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE"),
)
"""Variables of this process that a job sees besides its own; nothing else crosses, so that a
daemon's secrets do not. `LC_*` and `TRIVET_*` cross, too, tokens excepted."""


class ProcessRunner:
    """Runs jobs as child processes.

    A job that ends, is stopped or interrupted takes its whole process group with it.

    Args:
        grace_s: How long a job that is told to end may take before it is killed.
    """

    def __init__(self, grace_s: float = _GRACE_S) -> None:
        self._grace_s = grace_s

    def run(
        self,
        job: Job,
        on_line: Callable[[str], None] | None = None,
        *,
        stop: threading.Event | None = None,
    ) -> Outcome:
        began = time.monotonic()
        tail = _Tail(on_line)
        try:
            process = _start(job, tail.sink)
        except BaseException:
            tail.finish()
            raise
        try:
            tail.start()  # an interrupt may come with the first line already
            is_late = not _ended_in_time(process, tail, job.timeout_s, stop or threading.Event())
        finally:
            # Also when this thread is interrupted: what a job left behind would outlive it.
            _end_group(process, self._grace_s)
            tail.finish()
        if tail.error is not None:
            raise tail.error
        seconds = time.monotonic() - began
        if is_late:
            raise Unavailable(
                f"the job took longer than its {job.timeout_s} seconds and was ended",
                code="job-timeout",
                hint="Raise the time limit, or give the job less to do.",
                detail={"output": tail.text()},
            )
        return Outcome(exit_code=process.returncode, output=tail.text(), seconds=seconds)


class _Tail:
    """Hands on each line of a pipe and keeps the last 64 KiB."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self.error: Exception | None = None
        self._on_line = on_line
        self._kept = bytearray()
        self._lock = threading.Lock()
        self._end = secrets.token_hex(16).encode()
        self._is_whole = threading.Event()
        self._source, self.sink = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._reader.start()

    def finish(self) -> None:
        """Wait until everything was handed on that the job has printed.

        A mark in the pipe says where that ends: a grandchild in a session of its own may hold the
        pipe open, and print on.
        """
        if self._reader.ident is None:
            os.close(self._source)
        else:
            with contextlib.suppress(OSError):
                os.write(self.sink, self._end)
            while not self._is_whole.wait(_LOOK_S):
                pass
        os.close(self.sink)

    def _read(self) -> None:
        try:
            self._read_to_the_end()
        finally:
            self._is_whole.set()
            while os.read(self._source, _LINE_BYTES):
                pass  # a stranger's, who must not be stopped by a full pipe
            os.close(self._source)

    def _read_to_the_end(self) -> None:
        rest = mark = b""
        while not mark:
            own, mark, _ = (rest + os.read(self._source, _LINE_BYTES)).partition(self._end)
            *lines, rest = own.split(b"\n")
            for line in lines:
                self._take(line + b"\n")
            if len(rest) > _LINE_BYTES and not mark:  # which may have begun
                self._take(rest[: -len(self._end)])
                rest = rest[-len(self._end) :]
        if rest:
            self._take(rest)

    def _take(self, line: bytes) -> None:
        with self._lock:
            self._kept += line
            del self._kept[:-_TAIL_BYTES]
        if self._on_line is None or self.error is not None:
            return
        try:
            self._on_line(line.decode("utf-8", "replace").rstrip("\r\n"))
        except Exception as error:  # noqa: BLE001  # carried over to the thread that asked
            self.error = error

    def text(self) -> str:
        """Return what was kept."""
        with self._lock:
            return self._kept.decode("utf-8", "replace")


def _start(job: Job, output: int) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            job.arguments,
            cwd=job.folder,
            env=_environment(os.environ, job.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"the job could not be started: {error}",
            code="no-start",
            hint="Check that the program is installed and the folder exists.",
        ) from error


def _environment(ours: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    passed = {
        name: value
        for name, value in ours.items()
        if name in PASSED_ON
        or name.startswith("LC_")
        or (name.startswith("TRIVET_") and "TOKEN" not in name)
    }
    return {**passed, "PYTHONUNBUFFERED": "1", **own}


def _ended_in_time(
    process: "subprocess.Popen[bytes]",
    tail: _Tail,
    timeout_s: float | None,
    stop: threading.Event,
) -> bool:
    end = float("inf") if timeout_s is None else time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while not _has_ended(process) and tail.error is None and not stop.is_set():
        if time.monotonic() >= end:
            return False
        stop.wait(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    return True


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Say whether the process is over, and leave its number taken where the system can.

    As long as it was not waited for, the number of its group belongs to nobody else, and what is
    left of the group can be ended without harm to strangers.
    """
    if hasattr(os, "waitid"):
        options = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PID, process.pid, options) is not None
    return process.poll() is not None


def _end_group(process: "subprocess.Popen[bytes]", grace_s: float) -> None:
    if not _has_ended(process):
        _signal_group(process, signal.SIGTERM)
        end = time.monotonic() + grace_s
        while not _has_ended(process) and time.monotonic() < end:
            time.sleep(_LONGEST_PAUSE_S)
    _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()


def _signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
