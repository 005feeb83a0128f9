"""Time: aware datetimes in UTC, and a clock that can be put into somebody else's hands.

Rooms that reason about *event time* (monitoring, triggers, rollouts) take a `Clock`, so that a
replay of last year runs on last year's time. Ledger entries are always stamped by the system.
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol

from trivet.core.errors import Invalid

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where a room gets the present from."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present instant of this machine."""
        return datetime.now(UTC)


class EventClock:
    """A clock that stands still until it is moved, and never runs backwards.

    Args:
        start: The first instant; must be aware.
    """

    def __init__(self, start: datetime) -> None:
        self._lock = threading.Lock()
        self._now = as_utc(start)

    def now(self) -> datetime:
        """Return the instant the clock stands at."""
        return self._now

    def move_to(self, instant: datetime) -> None:
        """Put the clock forward to `instant`; an earlier instant leaves it where it is."""
        with self._lock:
            self._now = max(self._now, as_utc(instant))


def as_utc(instant: datetime, field: str = "time") -> datetime:
    """Return the same instant in UTC.

    Raises:
        Invalid: The datetime is naive, so nobody can say which instant it means.
    """
    if instant.tzinfo is None:
        raise Invalid(
            f"{field} is a datetime without a time zone; expected an aware one",
            code="naive-time",
            hint="Add a time zone, for example datetime.now(timezone.utc).",
        )
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise Invalid(
            f"{field} lies outside the years 1 to 9999 in UTC", code="bad-time"
        ) from error


def to_micros(instant: datetime) -> int:
    """Count the microseconds from 1970 (UTC) to `instant`, exactly."""
    return (as_utc(instant) - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Return the instant `micros` microseconds after 1970 (UTC)."""
    return EPOCH + timedelta(microseconds=micros)
