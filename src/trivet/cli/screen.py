"""Lines that change in place at the foot of a terminal, and whole lines that scroll above them.

The cursor is never hidden and nothing but the foot is touched, so a process that is killed at any
moment leaves a terminal as one finds it.
"""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO, cast

from trivet.cli.board import Look, shown_width
from trivet.cli.output import cut

_PAUSE_S = 0.1


class Foot:
    """Redraws lines ten times a second, from one thread, while something is under way.

    Printing through `sys.stdout` and `sys.stderr` goes on meanwhile: whole lines scroll above the
    foot, the beginning of a line is shown as the foot's last one until its end comes.

    Args:
        stream: The terminal.
        lines: Asked for what to show; called with the terminal as it is, from the foot's thread.
        has_colour: Whether colours are welcome.
    """

    def __init__(
        self, stream: TextIO, lines: Callable[[Look], list[str]], *, has_colour: bool
    ) -> None:
        self._stream = stream
        self._lines = lines
        self._has_colour = has_colour
        self._has_unicode = "utf" in (stream.encoding or "").lower()
        self._lock = threading.RLock()
        self._drawn: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)
        self._tops: list[_Above] = []
        self._pid = os.getpid()

    def __enter__(self) -> Self:
        for name in ("stdout", "stderr"):
            stream: TextIO = getattr(sys, name)
            if stream.isatty():
                top = _Above(stream, self)
                self._tops.append(top)
                setattr(sys, name, top)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream in self._tops:
                setattr(sys, name, cast("_Above", stream).stream)
        with self._lock:
            self._erase()
            for top in self._tops:
                if top.rest:
                    self._put(f"{top.rest}\n")
            self._draw(height=200)

    def above(self, text: str, top: "_Above") -> None:
        """Let whole lines scroll above the foot, which is drawn again at its next turn."""
        with self._lock:
            top.rest += text
            # Of what is overwritten in place only the last is kept.
            lines, end, rest = top.rest.rpartition("\n")
            top.rest = rest.rpartition("\r")[2] or rest[-1:]
            if end:
                self._erase()
                self._put(lines + end)

    @property
    def is_here(self) -> bool:
        """Whether this is the process that draws; a child that was forked off just prints."""
        return os.getpid() == self._pid

    def _work(self) -> None:
        while not self._over.wait(_PAUSE_S):
            with self._lock:
                self._draw()

    def _draw(self, height: int | None = None) -> None:
        look = self._look()
        if height is not None:
            look = Look(look.width, height, look.has_colour, look.has_unicode)
        lines = self._lines(look)
        rests = [cut(top.rest.strip("\r"), look.width - 1) for top in self._tops if top.rest]
        if height is None:
            lines = lines + [rest for rest in rests if rest]
        if lines != self._drawn:
            body = "".join(f"\x1b[2K{line}\n" for line in lines)
            self._put(f"{self._back(look.width)}{body}\x1b[J")
            self._drawn = lines

    def _erase(self) -> None:
        if self._drawn:
            self._put(f"{self._back(self._look().width)}\x1b[J")
            self._drawn = []

    def _back(self, width: int) -> str:
        """Return the way to the foot's first line, which wrapped when the window was narrowed."""
        up = shown_width(self._drawn, width)
        return f"\r\x1b[{up}A" if up else "\r"

    def _look(self) -> Look:
        try:
            width, height = os.get_terminal_size(self._stream.fileno())
        except OSError:
            width, height = 80, 24
        return Look(width or 80, height or 24, self._has_colour, self._has_unicode)

    def _put(self, text: str) -> None:
        with suppress(OSError, UnicodeError, ValueError):  # the terminal went away: run on
            self._stream.write(text)
            self._stream.flush()


class _Above:
    """A stream whose lines appear above the foot; all else is the stream's own."""

    def __init__(self, stream: TextIO, foot: Foot) -> None:
        self.stream = stream
        self.rest = ""
        self._foot = foot

    def write(self, text: str) -> int:
        if self._foot.is_here:
            self._foot.above(text, self)
            return len(text)
        return self.stream.write(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        if not self._foot.is_here:
            self.stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)
