"""Catching what a run prints and logs, while it is still printed.

`sys.stdout` and `sys.stderr` are stood before by a tee for as long as runs are under way in this
process; which run and step a line belongs to is read from the context of the thread that wrote
it. A thread that user code started sees no run: its lines go to the run and the step that are
under way, when there is only one. Records of `logging` are taken where loggers hand them to
handlers, so that they are caught whatever is configured, and once; what a handler prints of them
is not caught again. Bytes that are written below Python (C libraries, child processes) are not
seen.
"""

import logging
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from time import time
from typing import Any, TextIO, cast

import msgspec

from trivet.pipelines.context import current
from trivet.pipelines.logs.lines import LineWriter, Source

_LONGEST_PIECE = 64 << 10
_formatter = logging.Formatter("%(levelname)s %(name)s: %(message)s")
_is_passing: ContextVar[bool] = ContextVar("trivet.pipelines.passing", default=False)
_lock = threading.Lock()
_writers: dict[str, LineWriter] = {}
"""Of the runs under way in this process."""


@contextmanager
def captured(run: str, writer: LineWriter) -> Generator[None]:
    """Hand the lines of a run to its writer for the time of a `with` block, then close it."""
    with _lock:
        if not _writers:
            _Installed.put_in()
        _writers[run] = writer
    try:
        yield
    finally:
        with _lock:
            for tee in _Installed.tees:
                tee.finish(run)
            del _writers[run]
            if not _writers:
                _Installed.take_out()
        writer.close()


@contextmanager
def not_captured() -> Generator[None]:
    """Let what is printed in a `with` block pass: whoever shows a run's progress is not the run."""
    token = _is_passing.set(True)
    try:
        yield
    finally:
        _is_passing.reset(token)


class _Piece(msgspec.Struct):
    """The beginning of a line that has no end yet."""

    micros: int
    text: str


class _Tee:
    """A stream that writes on, and takes whole lines; all else is the stream's own.

    Pieces are put together by thread and step: `print` writes a line's end by itself.
    """

    def __init__(self, stream: TextIO, source: Source) -> None:
        self.stream = stream
        self._source: Source = source
        self._pieces: dict[tuple[str, str, int], _Piece] = {}

    def write(self, text: str) -> int:
        written = self.stream.write(text)
        if text and not _is_passing.get():
            self._take(text)
        return written

    def writelines(self, lines: Any) -> None:  # noqa: ANN401  # any iterable of text
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)

    def __iter__(self) -> object:
        return iter(self.stream)

    def finish(self, run: str) -> None:
        """Take what a run left without a line's end."""
        for key in [key for key in list(self._pieces) if key[0] == run]:
            piece = self._pieces.pop(key, None)
            if piece is not None:  # else a thread that goes on has just ended its line
                _writers[run].add(key[1], self._source, piece.text, piece.micros)

    def _take(self, text: str) -> None:
        run, step = _where()
        writer = _writers.get(run)
        if writer is None:
            return
        key = (run, step, threading.get_ident())
        piece = self._pieces.pop(key, None)
        if "\n" not in text:
            piece = piece or _Piece(int(time() * 1e6), "")
            # What is overwritten in place, as bars of progress are, does not pile up.
            kept = (piece.text + text).rpartition("\r")
            piece.text = kept[2] or kept[0].rpartition("\r")[2]
            if len(piece.text) < _LONGEST_PIECE:
                self._pieces[key] = piece
            else:
                writer.add(step, self._source, piece.text, piece.micros)
            return
        *lines, rest = text.split("\n")
        if piece is not None:
            lines[0] = piece.text + lines[0]
        for number, line in enumerate(lines):
            writer.add(step, self._source, line, piece.micros if piece and not number else None)
        if rest:
            self._pieces[key] = _Piece(int(time() * 1e6), rest)


class _Installed:
    """What stands before the process's own streams while runs are under way."""

    tees: tuple[_Tee, ...] = ()
    """Also when they do not stand there any more: a thread may be writing through them. Python 3.11
    crashes when what `print` writes to is let go of meanwhile."""
    _hand_out = logging.Logger.callHandlers

    @classmethod
    def put_in(cls) -> None:
        streams = (sys.stdout, sys.stderr)
        if tuple(tee.stream for tee in cls.tees) != streams:
            cls.tees = (_Tee(sys.stdout, "out"), _Tee(sys.stderr, "err"))
        sys.stdout, sys.stderr = (cast("TextIO", tee) for tee in cls.tees)
        cls._hand_out = logging.Logger.callHandlers
        setattr(logging.Logger, "callHandlers", _call_handlers)  # noqa: B010  # no stub knows it may

    @classmethod
    def take_out(cls) -> None:
        out, err = cls.tees
        # Whoever put a stream of their own before ours meanwhile keeps it.
        if cast("object", sys.stdout) is out:
            sys.stdout = out.stream
        if cast("object", sys.stderr) is err:
            sys.stderr = err.stream
        if logging.Logger.callHandlers is _call_handlers:
            setattr(logging.Logger, "callHandlers", cls._hand_out)  # noqa: B010

    @classmethod
    def hand_out(cls, logger: logging.Logger, record: logging.LogRecord) -> None:
        cls._hand_out(logger, record)


def _call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
    run, step = _where()
    writer = _writers.get(run)
    if writer is None or _is_passing.get():
        _Installed.hand_out(logger, record)
        return
    for line in _formatter.format(record).splitlines() or [""]:
        writer.add(step, "log", line, int(record.created * 1e6))
    with not_captured():
        _Installed.hand_out(logger, record)


def _where() -> tuple[str, str]:
    """Return the run and step that the calling thread works for; empty text where there is none."""
    context = current()
    if context.run is not None:
        return context.run, context.step or ""
    under_way = list(_writers.items())  # at once: the run may end at any moment
    if len(under_way) != 1:
        return "", ""
    ((run, writer),) = under_way
    return run, writer.only_step
