"""One warm worker, as the caller attends to it: a call goes out, and whatever becomes of it."""

import contextlib
import os
import selectors
import time
from collections.abc import Callable

import msgspec

from trivet.adapters.process import frames
from trivet.adapters.process.descendants import kill_group
from trivet.adapters.process.endings import died, took_too_long, took_too_much
from trivet.adapters.process.memory import resident_mib
from trivet.adapters.process.nurseries import Nursery
from trivet.adapters.process.nursery import NUMBER
from trivet.adapters.process.worker import Assignment
from trivet.core.errors import Invalid, TrivetError
from trivet.core.work import Needs

_PIPE_BYTES = 64 << 10
"""What a pipe can hold."""
_LINE_BYTES = 64 << 10
_TAIL_BYTES = 8 << 10
_LOOK_S = 0.05
"""How often the memory of work with a limit is looked at."""
_SEND_S = 60.0
_END_S = 5.0

OnLine = Callable[[str], None]
OnWord = Callable[[bytes], None]


class Stale(Exception):
    """The worker has loaded modules that were edited since; it did not begin."""


class Attended:
    """A worker of a nursery. It takes one call at a time."""

    def __init__(self, nursery: Nursery) -> None:
        self.nursery = nursery
        self.calls = 0
        self.is_leaving = False
        """Whether it takes no more work."""
        born = nursery.fork()
        self.pid, self.channel = born.pid, born.channel
        self.output, self.end = born.output, born.end
        os.set_blocking(self.output, False)
        self.channel.settimeout(_SEND_S)
        self.inbox = frames.Inbox()
        self.readable = selectors.PollSelector()
        for source in (self.channel, self.output, self.end):
            self.readable.register(source, selectors.EVENT_READ)

    @property
    def is_alive(self) -> bool:
        """Whether it waits for work; what it printed meanwhile belongs to no work."""
        if self.channel.fileno() < 0:
            return False
        for key, _ in self.readable.select(0):
            if key.fileobj != self.output or not self.read_output():
                return False
        return not self.nursery.is_over

    def call(
        self, assignment: Assignment, needs: Needs, on_line: OnLine | None, on_word: OnWord | None
    ) -> bytes:
        """Have work done, and return its result. After an error the worker is gone.

        Raises:
            Stale: It has old modules.
            Unavailable: As `Ticket.result`.
            Invalid: As `Ticket.result`.
        """
        self.calls += 1
        body = msgspec.msgpack.encode(assignment)
        try:
            with contextlib.suppress(OSError):  # it is dead: the pipe for its end says how
                frames.send(self.channel, frames.WORK, self.calls, body)
            result = _Call(self, needs, on_line, on_word).attend()
        except BaseException:
            self.close()
            raise
        if self.is_leaving:
            self.close()
        return result

    def kill(self) -> None:
        """Kill it with all that it started; a call under way fails."""
        self.nursery.kill(self.pid)

    def close(self) -> None:
        """Kill it if need be, and let go of it."""
        if self.channel.fileno() < 0:
            return
        self.kill()
        self.readable.close()
        self.channel.close()
        os.close(self.output)
        os.close(self.end)

    def read_output(self) -> bytes:
        """Return what was printed; empty when there is nothing, or the pipe is closed."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.output, _PIPE_BYTES)
        return b""


class _Call:
    """One call under way."""

    def __init__(
        self, worker: Attended, needs: Needs, on_line: OnLine | None, on_word: OnWord | None
    ) -> None:
        self._worker = worker
        self._needs = needs
        self._on_word = on_word
        self._lines = _Lines(on_line)
        self._answer: tuple[bytes, bytes] | None = None
        self._exit_code: int | None = None
        self._has_ended = False
        self._ends_by = float("inf")
        """When a worker that has closed its channel is killed."""

    def attend(self) -> bytes:
        """Return the result, or raise what became of the call instead."""
        limit_s = self._needs.timeout_s
        late = float("inf") if limit_s is None else time.monotonic() + limit_s
        while self._answer is None and not self._has_ended:
            self._read(self._pause(late))
            now = time.monotonic()
            if now >= late and self._answer is None:
                raise self._fail(took_too_long(limit_s or 0.0))
            if now >= self._ends_by:
                self._worker.kill()
            self._check_memory()
        self._read_rest()
        if self._answer is None:
            raise self._fail(died(self._exit_code))
        return self._result(*self._answer)

    def _pause(self, late: float) -> float | None:
        end = min(late, self._ends_by)
        pause_s = None if end == float("inf") else max(0.0, end - time.monotonic())
        if self._needs.memory_mib is not None:
            return _LOOK_S if pause_s is None else min(pause_s, _LOOK_S)
        return pause_s

    def _read(self, seconds: float | None) -> None:
        worker = self._worker
        for key, _ in worker.readable.select(seconds):
            if key.fileobj == worker.end:
                data = os.read(worker.end, NUMBER.size)
                self._exit_code = NUMBER.unpack(data)[0] if data else None
                self._has_ended = True
                if not data:  # the nursery is gone, which would have ended what the worker started
                    kill_group(worker.pid)
            elif key.fileobj == worker.output:
                self._read_output()
            else:
                self._read_channel()

    def _read_channel(self) -> None:
        try:
            data = self._worker.channel.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self._worker.readable.unregister(self._worker.channel)
            self._ends_by = time.monotonic() + _END_S
        for tag, call, payload in self._worker.inbox.take(data):
            if call != self._worker.calls:
                continue  # something that an earlier call left behind
            if tag == frames.LEAVES:
                self._worker.is_leaving = True
            elif tag != frames.WORD:
                self._answer = tag, payload
            elif self._on_word is not None:
                self._on_word(payload)

    def _read_output(self) -> None:
        data = self._worker.read_output()
        if data:
            self._lines.take(data)
        else:
            self._worker.readable.unregister(self._worker.output)

    def _read_rest(self) -> None:
        """Read what the worker left: all that was printed came before its answer."""
        if self._has_ended and self._answer is None:
            self._worker.channel.settimeout(0)
            while self._worker.channel in self._worker.readable.get_map():
                self._read_channel()
        self._read_last_lines()

    def _check_memory(self) -> None:
        limit = self._needs.memory_mib
        if limit is None or self._answer is not None or self._has_ended:
            return
        taken = resident_mib(self._worker.pid)
        if taken > limit:
            self._worker.kill()
            raise self._fail(took_too_much(taken, limit))

    def _fail(self, error: TrivetError) -> TrivetError:
        self._worker.kill()
        self._read_last_lines()
        error.detail["output"] = self._lines.tail()
        return error

    def _read_last_lines(self) -> None:
        """Read what was printed by now: a pipe's content at most, as a stranger may print on."""
        left = _PIPE_BYTES
        while left > 0 and (data := self._worker.read_output()):
            self._lines.take(data)
            left -= len(data)
        self._lines.finish()

    def _result(self, tag: bytes, payload: bytes) -> bytes:
        if tag == frames.STALE:
            raise Stale
        if tag == frames.RESULT:
            return payload
        text = payload.decode("utf-8", "replace")
        raise Invalid(
            f"work could not be done: {text.strip().splitlines()[-1]}",
            code="bad-work",
            hint="See the detail for the worker's own lines.",
            detail={"output": text},
        )


class _Lines:
    """Hands on complete lines, and keeps the last few."""

    def __init__(self, on_line: OnLine | None) -> None:
        self._on_line = on_line
        self._kept = bytearray()
        self._rest = bytearray()

    def take(self, data: bytes) -> None:
        self._kept += data
        del self._kept[:-_TAIL_BYTES]
        if self._on_line is None:
            return
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest
        for line in lines:
            self._tell(line)
        if len(self._rest) > _LINE_BYTES:
            self.finish()

    def finish(self) -> None:
        """Hand on what has no end of line."""
        if self._rest:
            line, self._rest = self._rest, bytearray()
            self._tell(line)

    def tail(self) -> str:
        return self._kept.decode("utf-8", "replace")

    def _tell(self, line: bytes | bytearray) -> None:
        if self._on_line is not None:
            self._on_line(line.decode("utf-8", "replace").rstrip("\r"))
