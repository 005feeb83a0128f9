"""What is known of a run under way, and how it looks: a pure function from events to lines.

There is one row per name of a step, however often it is called, so that ten thousand calls cost a
counter and a board never grows beyond the flow's own vocabulary.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from trivet.cli.output import cut, duration, padded, size, width_of
from trivet.pipelines.running import StepEvent

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_MARKS = {"run": "✓", "remembered": "○", "failed": "✗", "waiting": "·"}
_PLAIN_SPINNER = "|/-\\"
_PLAIN_MARKS = {"run": "+", "remembered": "o", "failed": "x", "waiting": "."}
_COLOURS = {"run": "32", "remembered": "36", "failed": "31", "running": "33", "dim": "2"}
_WIDEST_NAME = 32
_WINDOW_S = 15.0
_SAMPLE_S = 0.5


@dataclass
class Row:
    """All calls of one step."""

    step: str
    total: int = 0
    """How many calls `map` has announced; 0 when nobody did."""
    running: int = 0
    run: int = 0
    remembered: int = 0
    failed: int = 0
    interrupted: int = 0
    """How many of those that failed did so by Ctrl-C, or because the run was cancelled."""
    retried: int = 0
    began: float | None = None
    ended: float = 0.0
    seconds: float = 0.0
    """Of the calls that were run, together."""
    saved_s: float = 0.0
    memory_bytes: int | None = None
    line: str = ""
    error: str = ""
    samples: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])
    """Moments of the last seconds, and how many calls were over by then."""

    @property
    def over(self) -> int:
        """How many calls have ended."""
        return self.run + self.remembered + self.failed

    @property
    def state(self) -> str:
        """`running`, `failed`, `run`, `remembered` or `waiting`."""
        if self.running or 0 < self.over < self.total:
            return "failed" if self.failed else "running"
        if self.failed:
            return "failed"
        return "run" if self.run else "remembered" if self.remembered else "waiting"

    def rate(self, now: float) -> float | None:
        """Return calls a second over the last seconds; None when too little is known."""
        if not self.samples:
            return None
        at, count = self.samples[0]
        return (self.over - count) / (now - at) if now - at >= _SAMPLE_S else None


class Board:
    """The state of a run's display. Times are seconds of one monotonic clock.

    Args:
        began: When the run began.
    """

    def __init__(self, began: float) -> None:
        self.began = began
        self.rows: dict[str, Row] = {}
        self.line = ""
        """The last line that the flow's own code wrote."""
        self.warnings: list[str] = []
        """What keys of steps do not cover, as it was told."""

    def apply(self, event: StepEvent, now: float) -> Row | None:
        """Take an event in; return the row it is about."""
        if event.kind == "line" and not event.step:
            self.line = event.text
            return None
        if event.kind == "warned":
            self.warnings.append(event.text)
            return None
        row = self.rows.get(event.step)
        if row is None:
            row = self.rows[event.step] = Row(event.step)
        match event.kind:
            case "map":
                row.total = row.over + row.running + event.total
            case "line":
                row.line = event.text or row.line
            case "started":
                row.running += 1
                row.began = row.began or now
            case "retried":
                row.retried += 1
                row.error = event.error
            case "done" | "remembered" | "failed":
                _end(row, event, now)
        return row

    def summary(self, now: float) -> str:
        """Say in one line what was run, what was remembered, and what that saved."""
        rows = self.rows.values()
        run, remembered, failed, interrupted = (
            sum(getattr(row, name) for row in rows)
            for name in ("run", "remembered", "failed", "interrupted")
        )
        parts = [f"{run:,} run"]
        saved = sum(row.saved_s for row in rows)
        parts.append(
            f"{remembered:,} remembered" + (f" (saved {duration(saved)})" if saved else "")
        )
        if failed > interrupted:
            parts.append(f"{failed - interrupted:,} failed")
        if interrupted:
            parts.append(f"{interrupted:,} interrupted")
        peak = max((row.memory_bytes or 0 for row in rows), default=0)
        tail = f", peak +{size(peak)} in a step" if peak > 1 << 20 else ""
        return f"{', '.join(parts)} in {duration(now - self.began)}{tail}"


def is_interrupted(event: StepEvent) -> bool:
    """Say whether a call that failed was interrupted from outside."""
    return event.error.startswith("KeyboardInterrupt")


def _end(row: Row, event: StepEvent, now: float) -> None:
    row.began = row.began if row.began is not None else now
    row.ended = now
    if event.kind == "remembered":
        row.remembered += 1
        row.saved_s += event.seconds  # what making it took
    else:
        row.running = max(0, row.running - 1)
        row.seconds += event.seconds
        row.run += event.kind == "done"
        if event.kind == "failed":
            row.failed += 1
            row.interrupted += is_interrupted(event)
            row.error = "interrupted" if is_interrupted(event) else event.error
    if event.memory_bytes is not None:
        row.memory_bytes = max(row.memory_bytes or 0, event.memory_bytes)
    samples = row.samples
    if not samples or now - samples[-1][0] >= _SAMPLE_S:
        samples.append((now, row.over))
        while now - samples[0][0] > _WINDOW_S and len(samples) > 1:
            samples.popleft()


@dataclass(frozen=True)
class Look:
    """The terminal as it is: size in cells, and what it can show."""

    width: int = 80
    height: int = 24
    has_colour: bool = False
    has_unicode: bool = True


def draw(board: Board, now: float, look: Look) -> list[str]:
    """Return the lines to show, at most as many and as wide as the terminal takes.

    When there are more steps than lines, those that ended well first are counted in one line.
    """
    rows = list(board.rows.values())
    room = max(1, look.height - 3)
    hidden: list[Row] = []
    if len(rows) > room:
        over = [row for row in rows if row.state in {"run", "remembered"}]
        hidden = over[: len(rows) - room + 1]
        rows = [row for row in rows if row not in hidden]
        unseen = max(0, len(rows) + bool(hidden) - room)
        hidden += rows[:unseen]
        rows = rows[unseen:]
    named = min(_WIDEST_NAME, max((width_of(row.step) for row in rows), default=0))
    lines = [_line(row, named, now, look) for row in rows]
    if hidden:
        text = f"  {len(hidden)} more steps, {sum(row.over for row in hidden):,} calls over"
        lines.insert(0, _coloured(cut(text, look.width - 1), "dim", look))
    return lines


def _line(row: Row, named: int, now: float, look: Look) -> str:
    state = row.state
    marks = _MARKS if look.has_unicode else _PLAIN_MARKS
    spinner = _SPINNER if look.has_unicode else _PLAIN_SPINNER
    mark = spinner[int(now * 10) % len(spinner)] if state == "running" else marks[state]
    figures = _figures(row, now)
    name = padded(cut(row.step, named), named)
    head = f" {_coloured(mark, state, look)} {name}  "
    room = look.width - 1 - (4 + named + 1)
    figures = cut(figures, room)
    left = room - width_of(figures) - 2
    detail = row.error if state == "failed" or (row.retried and row.error) else row.line
    if left < 8 or not detail:
        return f"{head}{figures}".rstrip()
    return f"{head}{figures}  {_coloured(cut(detail, left), 'dim', look)}"


def _figures(row: Row, now: float) -> str:
    """Return the middle of a row: how far, how long, how much memory."""
    state = row.state
    several = row.total > 1 or row.over + row.running > 1
    took = duration(_elapsed(row, now)) if state != "remembered" else ""
    parts: list[str] = []
    if several:
        parts.append(_counted(row))
    if state == "remembered":
        parts.append("remembered")
        if row.saved_s >= 0.01:
            parts.append(f"saved {duration(row.saved_s)}")
    else:
        parts.append(f"{took:>8}" if not several else took)
    if several and state == "running":
        parts += _pace(row, now)
    if row.retried:
        parts.append(f"tried again {row.retried}x")
    if row.memory_bytes is not None and row.memory_bytes >= 1 << 20:
        parts.append(f"+{size(row.memory_bytes)}")
    return "  ".join(parts)


def _counted(row: Row) -> str:
    text = f"{row.over:,} of {row.total:,}" if row.total > row.over else f"{row.over:,} calls"
    if row.total and row.over >= row.total:
        text = f"{row.over:,} of {row.over:,}"
    inside = [f"{row.failed:,} failed"] if row.failed else []
    if row.remembered and row.run:
        inside.append(f"{row.remembered:,} remembered")
    return f"{text} ({', '.join(inside)})" if inside else text


def _pace(row: Row, now: float) -> list[str]:
    rate = row.rate(now)
    if not rate:
        return []
    parts = [f"{rate:.1f}/s" if rate < 100 else f"{rate:,.0f}/s"]
    if rate < 1:
        parts = [f"{rate * 60:.1f}/min"]
    if row.total > row.over:
        left_s = (row.total - row.over) / rate
        parts.append(f"{left_s:.0f} s left" if left_s < 100 else f"{duration(left_s)} left")
    return parts


def _elapsed(row: Row, now: float) -> float:
    if row.began is None:
        return 0.0
    if row.running or row.over < row.total:
        return now - row.began
    return row.seconds if row.over == 1 else row.ended - row.began


def _coloured(text: str, role: str, look: Look) -> str:
    if not look.has_colour or not text or role not in _COLOURS:
        return text
    return f"\x1b[{_COLOURS[role]}m{text}\x1b[0m"


def milestone(row: Row) -> bool:
    """Say whether a log of plain lines shows this many calls of a step.

    Each of the first ten, then 20, 50, 100, 200, ... and the last that was announced: ten thousand
    calls are twenty lines.
    """
    count = row.over
    digits = str(count)
    is_round = digits[0] in "125" and set(digits[1:]) <= {"0"}
    return count <= 10 or is_round or count == row.total


def shown_width(lines: Sequence[str], width: int) -> int:
    """Count the rows of a terminal of this width that lines take, wrapped ones more than one."""
    return sum(max(1, -(-width_of(line) // max(1, width))) for line in lines)
