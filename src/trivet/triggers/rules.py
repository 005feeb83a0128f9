"""Deciding whether a trigger fires: pure, level-triggered, and always with a reason.

Level-triggered means that each look compares what is with what was acted on; nothing hangs on an
event being delivered, so a look that was missed is made up by the next.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from trivet.triggers.cron import last_time, next_time, parse, zone_of
from trivet.triggers.facts import TriggerSet

_WEEK = timedelta(days=7)
_MOST_QUIET = 10.0
"""The longest wait for quiet, in multiples of the wait itself."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at the world found for one trigger.

    `mark` names what would be acted on: an alert's identifier, a data commit's, a due time; for
    states that can come back, the state and the firing it comes after. None when there is nothing
    to act on.
    """

    mark: str | None
    summary: str
    but: str = ""
    """A reason of the cause itself not to act on it yet; empty when there is none."""
    seen: str | None = None
    """What will have been acted on, for the next look to compare with."""
    listing: dict[str, str] | None = None
    """The same, for causes that watch files: stamps by name."""


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What the trigger did before: marks acted on, and when it fired (event time, any order)."""

    marks: frozenset[str] = frozenset()
    fired: tuple[datetime, ...] = ()
    is_running: bool = False
    """Whether a run that it asked for is still under way."""
    seen: str | None = None
    """What was acted on last, in the form of `TriggerSet.seen`."""
    after: str = ""
    """Names the firing that `seen` is of; before the first, what is watched. A state that comes
    back after another firing is something new to act on."""
    seconds: float = 0.0
    """What the runs that it asked for within a week took together."""


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """What a trigger remembers from one look to the next; losing it costs a wait, never a run."""

    mark: str | None = None
    """What there is to act on."""
    quiet_since: datetime | None = None
    """When it became that."""
    pending_since: datetime | None = None
    """When there began to be something to act on."""
    listing: dict[str, str] = {}
    """For causes that watch files: what the last look found, stamps by name."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to fire, and why or why not."""

    fires: bool
    reason: str
    mark: str | None = None


def decide(
    rule: TriggerSet, sight: Sight, past: Past, now: datetime, notes: Notes | None = None
) -> Decision:
    """Decide whether a trigger fires at this look.

    Args:
        rule: The trigger in force.
        sight: What it sees.
        past: What it did.
        now: The event clock's present.
        notes: What it remembers, brought up to this look by `take_note`.
    """
    if sight.mark is None or sight.mark in past.marks:
        return Decision(fires=False, reason=f"nothing new: {sight.summary}")
    reason = _why_not(rule, sight, past, now, notes or Notes())
    return Decision(fires=not reason, reason=reason or sight.summary, mark=sight.mark)


def _why_not(rule: TriggerSet, sight: Sight, past: Past, now: datetime, notes: Notes) -> str:
    """Return the first reason to hold, empty when there is none. It stays the same while it holds.

    A reason that stands is recorded once, so it names no figure that moves from look to look.
    """
    if rule.paused:
        return "paused"
    if sight.but:
        return sight.but
    if _waits_for_quiet(rule, notes, now):
        return f"waits until it has been quiet for {rule.debounce_s:g} s"
    if past.is_running:
        return "a run it asked for is under way"
    return _limit(rule, past, now)


def _limit(rule: TriggerSet, past: Past, now: datetime) -> str:
    last = max(past.fired, default=None)
    if last is not None and now - last < timedelta(seconds=rule.cooldown_s):
        free = last + timedelta(seconds=rule.cooldown_s)
        return f"cooling down until {free:%Y-%m-%d %H:%M} UTC"
    recent = sum(1 for instant in past.fired if now - instant < _WEEK)
    if rule.per_week is not None and recent >= rule.per_week:
        return f"fired {recent} times within a week already"
    if rule.seconds_per_week is not None and past.seconds >= rule.seconds_per_week:
        return (
            f"its runs took {past.seconds:.0f} s within a week already; "
            f"{rule.seconds_per_week:g} s are allowed"
        )
    return ""


def take_note(notes: Notes, sight: Sight, past: Past, now: datetime) -> Notes:
    """Bring what a trigger remembers up to what this look found."""
    mark = None if sight.mark in past.marks else sight.mark
    if mark is None:
        return msgspec.structs.replace(notes, mark=None, quiet_since=None, pending_since=None)
    if mark == notes.mark:
        return notes
    return msgspec.structs.replace(
        notes, mark=mark, quiet_since=now, pending_since=notes.pending_since or now
    )


def _waits_for_quiet(rule: TriggerSet, notes: Notes, now: datetime) -> bool:
    if not rule.debounce_s:
        return False
    most = rule.debounce_at_most_s
    most = rule.debounce_s * _MOST_QUIET if most is None else most
    quiet_s = (now - (notes.quiet_since or now)).total_seconds()
    pending_s = (now - (notes.pending_since or now)).total_seconds()
    return quiet_s < rule.debounce_s and pending_s < most


def due_mark(period_s: float, fired: Sequence[datetime], since: datetime, now: datetime) -> Sight:
    """See whether a period is over. Missed periods are made up once, not one by one.

    Periods are counted from `since`, so that a look that comes late does not move the next one.

    Args:
        period_s: The period in seconds, more than 0.
        fired: When it fired before.
        since: When the trigger was set.
        now: The event clock's present.
    """
    period = timedelta(seconds=period_s)
    passed = (now - since) // period
    due = since + passed * period
    if passed < 1 or any(instant >= due for instant in fired):
        return Sight(mark=None, summary=f"next due {due + period:%Y-%m-%d %H:%M} UTC")
    missed = due - period > max([since, *fired])
    return Sight(
        mark=due.isoformat(), summary=f"due since {due:%Y-%m-%d %H:%M} UTC{_made_up(missed)}"
    )


def cron_mark(rule: TriggerSet, fired: Sequence[datetime], now: datetime) -> Sight:
    """See whether a time of a cron expression has come. Missed times are made up once.

    Args:
        rule: The trigger: expression, zone, and since when it counts.
        fired: When it fired before.
        now: The event clock's present.
    """
    cron, zone = parse(rule.watch), zone_of(rule.zone)
    begin = max([rule.since, *fired])
    due = last_time(cron, zone, now, begin)
    if due is None:
        following = next_time(cron, zone, now)
        when = f"{following.astimezone(zone):%Y-%m-%d %H:%M %Z}" if following else "never"
        return Sight(mark=None, summary=f"next due {when}")
    missed = last_time(cron, zone, due - timedelta(microseconds=1), begin) is not None
    when = f"{due.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    return Sight(mark=due.isoformat(), summary=f"due since {when}{_made_up(missed)}")


def too_late(rule: TriggerSet, sight: Sight, now: datetime) -> Sight:
    """Hold a time that is longer past than the trigger makes up for."""
    if sight.mark is None or rule.catch_up_s is None:
        return sight
    if now - datetime.fromisoformat(sight.mark) <= timedelta(seconds=rule.catch_up_s):
        return sight
    why = f"missed: {sight.summary}, and what is {rule.catch_up_s:g} s late is left out"
    return msgspec.structs.replace(sight, but=why)


def _made_up(missed: bool) -> str:  # noqa: FBT001  # a property of the time
    return "; catches up: earlier times were missed and are made up by this one" if missed else ""
