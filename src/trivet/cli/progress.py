"""How `trivet run` shows a run under way: a board on a terminal, plain lines elsewhere."""

import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from trivet.cli.board import Board, Look, Row, draw, is_interrupted, milestone
from trivet.cli.output import duration, padded, size
from trivet.cli.screen import Foot
from trivet.pipelines.running import OnEvent, StepEvent

_SILENCE_S = 60.0


@contextmanager
def shown(*, is_silent: bool) -> Generator[OnEvent]:
    """Show what the events handed to it tell, for the time of a `with` block, on stderr.

    Args:
        is_silent: Show nothing.
    """
    if is_silent:
        yield _nothing
    elif _is_lively():
        with _lively() as tell:
            yield tell
    else:
        with _plainly() as tell:
            yield tell


def _is_lively() -> bool:
    """Say whether lines may move: on a terminal, unless the environment asks for plain text."""
    quiet = any(os.environ.get(name) for name in ("NO_COLOR", "CI"))
    return sys.stderr.isatty() and not quiet and os.environ.get("TERM") != "dumb"


def _nothing(event: StepEvent) -> None:
    del event


@contextmanager
def _lively() -> Generator[OnEvent]:
    board = Board(time.monotonic())
    lock = threading.Lock()

    def tell(event: StepEvent) -> None:
        with lock:
            board.apply(event, time.monotonic())

    def lines(look: Look) -> list[str]:
        with lock:
            return draw(board, time.monotonic(), look)

    try:
        with Foot(sys.stderr, lines, has_colour=True):
            yield tell
    finally:
        for text in board.warnings:
            print_line(f"warning: {text}")
        _sum_up(board)


@contextmanager
def _plainly() -> Generator[OnEvent]:
    board = Board(time.monotonic())
    lock = threading.Lock()
    said: dict[str, float] = {}

    def tell(event: StepEvent) -> None:
        if event.kind in {"started", "map", "line"}:
            with lock:
                board.apply(event, time.monotonic())
            return
        with lock:
            now = time.monotonic()
            row = board.apply(event, now)
            if event.kind == "warned":
                print_line(f"{time.strftime('%H:%M:%S')}  warning: {event.text}")
            if row is None:
                return
            is_due = now - said.get(event.step, 0.0) > _SILENCE_S
            if event.kind in {"failed", "retried"} or milestone(row) or is_due:
                said[event.step] = now
                print_line(f"{time.strftime('%H:%M:%S')}  {plain_line(event, row)}")

    try:
        yield tell
    finally:
        _sum_up(board)


def print_line(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


def _sum_up(board: Board) -> None:
    if board.rows:
        print_line(board.summary(time.monotonic()))


_WORDS = {"done": "run", "remembered": "remembered", "retried": "again", "failed": "FAILED"}


def plain_line(event: StepEvent, row: Row) -> str:
    """Say in one line, without colours, how a call of a step ended."""
    word = "interrupted" if is_interrupted(event) else _WORDS[event.kind]
    parts = [f"{padded(event.step, 20)} {word:<11}"]
    if event.kind != "remembered":
        parts.append(f"{duration(event.seconds):>9}")
    elif event.seconds >= 0.01:
        parts.append(f"saved {duration(event.seconds)}")
    if row.total > 1 or row.over > 1:
        parts.append(f"{row.over:,} of {row.total:,}" if row.total else f"{row.over:,} calls")
    if event.memory_bytes is not None and event.memory_bytes >= 1 << 20:
        parts.append(f"+{size(event.memory_bytes)}")
    if event.error and not is_interrupted(event):
        parts.append(event.error.partition("\n")[0])
    return "  ".join(parts).rstrip()
