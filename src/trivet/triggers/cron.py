"""Cron expressions over a time zone: which instants they mean. Pure, and exact at clock changes.

Fields, names and the treatment of clock changes are those of Vixie's cron as Debian documents it
(crontab(5), cron(8)):

- five fields: minute, hour, day of month, month, day of week; `*`, ranges, lists, steps, and
  English names of months and days; 0 and 7 are Sunday;
- when both days are restricted, either suffices; a field that begins with `*` restricts nothing;
- at a change of less than three hours, a job with fixed times that falls into the skipped hour
  runs once right after it, and in the repeated hour it runs the first time alone; a job whose
  minute or hour begins with `*` keeps its pace. A greater change is taken as it comes.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from trivet.core.errors import Invalid

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_DAYS = {name: number for number, name in enumerate(_DAY_NAMES)}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_CORRECTION = timedelta(hours=3)
"""A change of the clock of this size or more is a correction, not daylight saving."""
_HORIZON_DAYS = 366 * 13
"""How far ahead to look: 29 February comes again after eight years at most."""
_EXAMPLE = "For example `0 3 * * 1` (Mondays at three) or `@daily`."


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed expression: the values that each field admits."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either_day: bool
    """Both days are restricted, so one of them suffices."""
    keeps_pace: bool
    """Minute or hour begin with `*`: it follows the instants, not the hands of the clock."""

    def admits(self, day: date) -> bool:
        """Say whether it runs at all on a local date."""
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday if self.either_day else by_day and by_weekday


@lru_cache(maxsize=256)
def parse(text: str) -> Cron:
    """Parse an expression.

    Raises:
        Invalid: It has another form; the message names the field and what it may be.
    """
    words = _NICKNAMES.get(text.strip().lower(), text).split()
    if len(words) == 1 and words[0].startswith("@"):
        raise Invalid(
            f"{text!r} is no schedule; expected one of {', '.join(_NICKNAMES)}",
            code="bad-cron",
            hint=_EXAMPLE,
        )
    if len(words) != len(_FIELDS):
        raise Invalid(
            f"{text!r} has {len(words)} fields; expected five: minute, hour, day of month, month, "
            "day of week",
            code="bad-cron",
            hint=_EXAMPLE,
        )
    minutes, hours, days, months, weekdays = (
        _field(word, *field) for word, field in zip(words, _FIELDS, strict=True)
    )
    return Cron(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        either_day=not (words[2].startswith("*") or words[4].startswith("*")),
        keeps_pace=words[0].startswith("*") or words[1].startswith("*"),
    )


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        Invalid: There is none of this name on this machine.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(
            f"zone {name!r} is no time zone of this machine; expected an IANA name",
            code="bad-zone",
            hint="For example Europe/Berlin or UTC. Where the system has no zones, install "
            "`tzdata`.",
        ) from error


def next_time(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Return the first instant (UTC) after another; None when none comes within 13 years."""
    day = after.astimezone(zone).date() - timedelta(days=1)
    for number in range(_HORIZON_DAYS):
        here = day + timedelta(days=number)
        found = [at for at in _instants(cron, zone, here) if at > after]
        if found:
            # Where clocks go back over midnight, the next date begins before this one is over.
            found += _instants(cron, zone, here + timedelta(days=1))
            return min(at for at in found if at > after)
    return None


def last_time(cron: Cron, zone: ZoneInfo, until: datetime, since: datetime) -> datetime | None:
    """Return the last instant (UTC) with since < instant <= until, or None."""
    day = until.astimezone(zone).date() + timedelta(days=1)
    first = since.astimezone(zone).date() - timedelta(days=1)
    while day >= first:
        found = [at for at in _instants(cron, zone, day) if since < at <= until]
        if found:
            found += _instants(cron, zone, day - timedelta(days=1))
            return max(at for at in found if since < at <= until)
        day -= timedelta(days=1)
    return None


def next_times(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield the instants (UTC) after another, rising."""
    at = next_time(cron, zone, after)
    while at is not None:
        yield at
        at = next_time(cron, zone, at)


def _field(word: str, name: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    values: set[int] = set()
    for part in word.split(","):
        span, slash, step_text = part.partition("/")
        step = int(step_text) if _is_number(step_text) else 0
        if slash and step < 1:
            raise _bad(name, part, "a step of at least 1 after the slash")
        if span == "*":
            first, last = low, high
        else:
            begin, dash, end = span.partition("-")
            if slash and not dash:
                raise _bad(name, part, f"a range before the slash, such as {low}-{high}/{step}")
            first = _value(begin, name, part, low, high, names)
            last = _value(end, name, part, low, high, names) if dash else first
            if name == "day of week" and dash and last == 0:
                last = 7  # `fri-sun` ends the week
        if first > last:
            raise _bad(name, part, "a range that rises")
        values.update(range(first, last + 1, step or 1))
    return frozenset(values)


def _value(text: str, name: str, part: str, low: int, high: int, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not _is_number(text) or not low <= int(text) <= high:
        known = f" or {', '.join(names)}" if names else ""
        raise _bad(name, part, f"{low} to {high}{known}")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4


def _bad(name: str, part: str, expected: str) -> Invalid:
    return Invalid(
        f"{part!r} is no {name}; expected {expected}",
        code="bad-cron",
        hint=_EXAMPLE,
        detail={"field": name},
    )


@lru_cache(maxsize=64)
def _instants(cron: Cron, zone: ZoneInfo, day: date) -> tuple[datetime, ...]:
    """Return the instants (UTC, rising) that the times of one local date mean."""
    if not cron.admits(day):
        return ()
    found = {
        at
        for hour in cron.hours
        for minute in cron.minutes
        for at in _meanings(cron, zone, datetime(day.year, day.month, day.day, hour, minute))  # noqa: DTZ001  # what the hands of the clock show
    }
    return tuple(sorted(found))


def _meanings(cron: Cron, zone: ZoneInfo, shown: datetime) -> tuple[datetime, ...]:
    """Return the instants at which a job runs that is set for what the clock shows."""
    before = _offset(shown, zone, fold=0)
    after = _offset(shown, zone, fold=1)
    first = (shown - before).replace(tzinfo=UTC)
    if before == after:
        return (first,)
    is_correction = abs(before - after) >= _CORRECTION
    if before > after:  # shown twice
        second = (shown - after).replace(tzinfo=UTC)
        return (first, second) if cron.keeps_pace or is_correction else (first,)
    if cron.keeps_pace or is_correction:  # never shown
        return ()
    return (_change_between((shown - after).replace(tzinfo=UTC), first, zone),)


def _change_between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant at which the offset changes, to the second."""
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def _offset(shown: datetime, zone: ZoneInfo, *, fold: int) -> timedelta:
    return shown.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta(0)
