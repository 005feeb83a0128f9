"""Crashes on demand: kill -9 at any moment or system call, and power cuts of a whole file system.

Each sweep starts a command that works in a folder and prints one line per acknowledged piece of
work, ends it violently, and hands folder and lines to a checker, which raises AssertionError when
something acknowledged is lost or half there. The first line must be `ready`; moments are counted
from it, in every other round from the third line after it, so that something was acknowledged
however slow the machine is; `ready` is not handed on. Threads that speak at once must write each
line in one piece.

Example:
    >>> def command(folder: Path) -> list[str]:
    ...     return [sys.executable, "writes_numbered_rows.py", str(folder)]
    >>> def check(folder: Path, acknowledged: list[str]) -> None:
    ...     assert set(acknowledged) <= rows_in(folder)
    >>> kill_sweep(command, check, workplace=tmp_path, rounds=25)  # doctest: +SKIP
"""

import contextlib
import ctypes
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import msgspec

Command = Callable[[Path], Sequence[str]]
"""Says which command works in a folder."""
Check = Callable[[Path, list[str]], None]
"""Looks at a folder and the acknowledged lines; raises AssertionError."""

READY: Final = "ready"
WRITING_CALLS: Final = (
    *("pwrite64", "write", "fdatasync", "fsync", "ftruncate"),
    *("rename", "link", "unlink", "mkdir", "openat", "close"),
)
KILL: Final = "signal=KILL"
_FEW = 3
"""So many lines are waited for in every other round."""
_PATIENCE_S = 300.0
_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN, _IOR('X', 125, __u32)
_NO_LOG_FLUSH = 2
_IMAGE_BYTES = 96 << 20


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep did: crashes, acknowledged lines, commands that ended by themselves."""

    crashes: int
    acknowledged: int
    finished: int


class _Running:
    """A command, and the lines it has printed so far."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.lines: list[str] = []
        self._ready, self._few = threading.Event(), threading.Event()
        self.process = subprocess.Popen(
            arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )
        self.errors = ""
        self._threads = [
            threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(self.process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            # A line without its end was being printed when the end came: nobody has read it.
            if line.endswith("\n"):
                if line.strip() == READY:
                    self._ready.set()
                    continue
                self.lines.append(line.strip())
                if len(self.lines) == _FEW:
                    self._few.set()
        self._ready.set()
        self._few.set()

    def _read_errors(self, stream: IO[str]) -> None:
        self.errors = stream.read()

    def wait_until_at_work(self, number: int) -> None:
        """Wait until it is ready; in every other round until it has done something, too."""
        if not self._ready.wait(_PATIENCE_S):
            self.kill()
            raise AssertionError(f"the command never became ready: {self.errors}")
        if number % 2 and not self._few.wait(_PATIENCE_S):
            self.kill()
            raise AssertionError(f"the command does nothing: {self.errors}")

    def ends_within(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, moment: str) -> None:
        """Wait for the command's own end.

        Raises:
            AssertionError: It never ends.
        """
        try:
            if not self.ends_within(_PATIENCE_S):
                raise AssertionError(f"the command hangs after {moment}: {self.errors}")
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill the command and all it started; gather what it had printed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


class _Tally:
    """Judges crash after crash and counts them."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._crashes = self._acknowledged = self._finished = 0

    def judge(self, folder: Path, running: _Running, moment: str, *, finished: bool) -> None:
        try:
            self._check(folder, running.lines)
        except AssertionError as error:
            error.add_note(f"crashed {moment}; the command printed: {running.errors[-2000:]}")
            raise
        self._crashes += 1
        self._acknowledged += len(running.lines)
        self._finished += finished

    def report(self) -> Report:
        return Report(
            crashes=self._crashes, acknowledged=self._acknowledged, finished=self._finished
        )


def kill_sweep(  # each has a name and a default
    command: Command,
    check: Check,
    *,
    workplace: Path,
    rounds: int,
    longest_s: float = 0.3,
    seed: int = 0,
) -> Report:
    """Kill the command `rounds` times, each at a random moment up to `longest_s` after it began.

    Raises:
        AssertionError: The checker found something wrong; a note names the moment.
    """
    moments = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
    tally = _Tally(check)
    for number in range(rounds):
        with _folder(workplace, f"kill-{number}") as folder:
            running = _Running(command(folder))
            try:
                running.wait_until_at_work(number)
                moment = moments.uniform(0, longest_s)
                finished = running.ends_within(moment)
            finally:
                running.kill()
            tally.judge(folder, running, f"{moment:.4f} s after it began", finished=finished)
    return tally.report()


def missing_for_syscalls() -> str | None:
    """Say why no system call can be made to fail here; None when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed (make system)"
    probe = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "strace may not trace processes here"


def syscall_sweep(  # each has a name and a default
    command: Command,
    check: Check,
    *,
    workplace: Path,
    calls: Iterable[str] = WRITING_CALLS,
    points: int | None = None,
    effect: str = KILL,
    seed: int = 0,
) -> Report:
    """Let the n-th system call of a kind go wrong, for every kind and every n, or a sample.

    The command is run once undisturbed to count its calls; it should do a fixed amount of work.
    Each thread counts its own calls, and the first that reaches n is hit.

    Args:
        command: Says which command works in a folder.
        check: Looks at what is left.
        workplace: Where the folders are made.
        calls: Names of system calls.
        points: How many of all points to try, drawn at random; all when None.
        effect: What happens, in strace's words: `signal=KILL`, `error=EIO`, `error=ENOSPC`.
        seed: Draws the sample.

    Raises:
        AssertionError: The checker found something wrong; a note names the call.
    """
    with _folder(workplace, "count") as folder:
        counts = _count_calls(command(folder), calls, workplace / "calls.txt")
    every = [(call, n) for call, count in sorted(counts.items()) for n in range(1, count + 1)]
    chosen = every
    if points is not None and points < len(every):
        chosen = random.Random(seed).sample(every, points)  # noqa: S311  # to be repeated
    tally = _Tally(check)
    for call, number in chosen:
        inject = f"inject={call}:{effect}:when={number}"
        with _folder(workplace, f"{call}-{number}") as folder:
            running = _Running(_traced(command(folder), ["-e", f"trace={call}", "-e", inject]))
            running.end(inject)
            finished = running.process.returncode == 0
            tally.judge(folder, running, f"at {inject}", finished=finished)
    return tally.report()


def _traced(
    arguments: Sequence[str], options: Sequence[str], output: str = os.devnull
) -> list[str]:
    return ["strace", "-f", "-qq", "-o", output, *options, "--", *arguments]


def _count_calls(arguments: Sequence[str], calls: Iterable[str], record: Path) -> dict[str, int]:
    """Count the calls of each kind that the busiest thread makes."""
    running = _Running(_traced(arguments, ["-e", f"trace={','.join(calls)}"], str(record)))
    running.end("nothing at all")
    if running.process.returncode != 0:
        raise AssertionError(f"the command fails undisturbed: {running.errors}")
    by_thread = Counter(re.findall(r"^(\d+) +(\w+)\(", record.read_text(), re.MULTILINE))
    record.unlink()
    busiest: dict[str, int] = {}
    for (_, call), count in by_thread.items():
        busiest[call] = max(busiest.get(call, 0), count)
    return busiest


@cache
def missing_for_power_cuts() -> str | None:
    """Say why no file system can be cut off here; None when it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a power cut needs root on Linux"
    for tool in ("mkfs.ext4", "losetup", "mount"):
        if shutil.which(tool) is None:
            return f"a power cut needs {tool} (make system)"
    try:
        with tempfile.TemporaryDirectory() as folder, PowerCut(Path(folder)) as disk:
            disk.cut()
    except OSError as error:
        return str(error)
    return None


class PowerCut:
    """A small ext4 file system of its own, whose power can be cut.

    Cutting drops everything that was not synced, as far as ext4 is concerned (FS_IOC_SHUTDOWN
    without a flush of its log), and mounts what is left.

    Args:
        workplace: A folder for the image and the mount point.

    Example:
        >>> with PowerCut(tmp_path) as disk:  # doctest: +SKIP
        ...     write_something(disk.folder)
        ...     disk.cut()
        ...     check(disk.folder)
    """

    def __init__(self, workplace: Path) -> None:
        self._image = workplace / "disk.img"
        self.folder = workplace / "disk"
        self._device = ""

    def __enter__(self) -> Self:
        self.folder.mkdir()
        with self._image.open("wb") as image:
            image.truncate(_IMAGE_BYTES)
        try:
            _do("mkfs.ext4", "-q", str(self._image))
            self._device = _do("losetup", "--find", "--show", str(self._image)).strip()
            _do("mount", self._device, str(self.folder))
        except OSError:
            self._take_down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._take_down()

    def _take_down(self) -> None:
        for step in (
            ("umount", "--lazy", str(self.folder)),
            ("losetup", "--detach", self._device),
        ):
            subprocess.run(step, capture_output=True, check=False)
        self._image.unlink(missing_ok=True)

    def shut_down(self) -> None:
        """Cut the power: from now on every call on the file system fails."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            flags = ctypes.c_uint32(_NO_LOG_FLUSH)
            library = ctypes.CDLL(None, use_errno=True)
            if library.ioctl(handle, _SHUTDOWN, ctypes.byref(flags)) != 0:
                raise OSError(ctypes.get_errno(), "the file system cannot be shut down")
        finally:
            os.close(handle)

    def start_again(self) -> None:
        """Mount what is left. Whoever had files open there must be gone."""
        _do("umount", str(self.folder))
        _do("mount", self._device, str(self.folder))

    def cut(self) -> None:
        """Cut the power and mount what is left."""
        self.shut_down()
        self.start_again()


def power_sweep(  # each has a name and a default
    command: Command,
    check: Check,
    *,
    workplace: Path,
    rounds: int,
    longest_s: float = 0.5,
    seed: int = 0,
) -> Report:
    """Cut the power under the command `rounds` times, each at a random moment after it began.

    Raises:
        AssertionError: The checker found something wrong; a note names the moment.
    """
    moments = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
    tally = _Tally(check)
    for number in range(rounds):
        with _folder(workplace, f"power-{number}") as place, PowerCut(place) as disk:
            folder = disk.folder / "work"
            folder.mkdir()
            # What stood before the command began is not what is at stake.
            os.sync()
            running = _Running(command(folder))
            try:
                running.wait_until_at_work(number)
                moment = moments.uniform(0, longest_s)
                finished = running.ends_within(moment)
                # The kernel may still report a sync that the cut interrupted as done. Without
                # power nobody would have heard of it, so only lines from before the cut count.
                heard = list(running.lines)
                disk.shut_down()
            finally:
                running.kill()
            running.lines = heard
            disk.start_again()
            tally.judge(folder, running, f"{moment:.4f} s after it began", finished=finished)
    return tally.report()


def _do(*arguments: str) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout


@contextlib.contextmanager
def _folder(workplace: Path, name: str) -> Generator[Path]:
    """Make a folder; remove it when all went well, leave it to be looked at otherwise."""
    folder = workplace / name
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
