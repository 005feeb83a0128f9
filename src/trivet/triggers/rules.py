"""Deciding whether a trigger fires: pure, level-triggered, and always with a reason.

Level-triggered means that each look compares what is with what was acted on; nothing hangs on an
event being delivered, so a look that was missed is made up by the next.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from trivet.core.errors import Invalid
from trivet.triggers.facts import TriggerSet

_WEEK = timedelta(days=7)


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at the world found for one trigger.

    `mark` names what would be acted on: an alert's identifier, a data commit's, a due time.
    None when there is nothing to act on.
    """

    mark: str | None
    summary: str


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What the trigger did before: marks acted on, and when it fired (event time, any order)."""

    marks: frozenset[str] = frozenset()
    fired: tuple[datetime, ...] = ()
    is_running: bool = False
    """Whether a run that it asked for is still under way."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to fire, and why or why not."""

    fires: bool
    reason: str
    mark: str | None = None


def decide(rule: TriggerSet, sight: Sight, past: Past, now: datetime) -> Decision:
    """Decide whether a trigger fires at this look.

    Args:
        rule: The trigger in force.
        sight: What it sees.
        past: What it did.
        now: The event clock's present.
    """
    if sight.mark is None or sight.mark in past.marks:
        return Decision(fires=False, reason=f"nothing new: {sight.summary}")
    if rule.paused:
        return Decision(fires=False, reason="paused", mark=sight.mark)
    if past.is_running:
        return Decision(fires=False, reason="a run it asked for is under way", mark=sight.mark)
    last = max(past.fired, default=None)
    if last is not None and now - last < timedelta(seconds=rule.cooldown_s):
        free = last + timedelta(seconds=rule.cooldown_s)
        return Decision(
            fires=False, reason=f"cooling down until {free:%Y-%m-%d %H:%M} UTC", mark=sight.mark
        )
    recent = sum(1 for instant in past.fired if now - instant < _WEEK)
    if rule.per_week is not None and recent >= rule.per_week:
        return Decision(
            fires=False, reason=f"fired {recent} times within a week already", mark=sight.mark
        )
    return Decision(fires=True, reason=sight.summary, mark=sight.mark)


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
    return Sight(mark=due.isoformat(), summary=f"due since {due:%Y-%m-%d %H:%M} UTC")


def check_rule(rule: TriggerSet) -> TriggerSet:
    """Return the rule when it can work.

    Raises:
        Invalid: A field contradicts its cause.
    """
    if rule.cause in {"alert", "data"} and not rule.watch:
        raise Invalid(
            f"trigger {rule.name!r} watches nothing; expected "
            + ("an endpoint" if rule.cause == "alert" else "a data set"),
            code="bad-trigger",
            hint="Name it with watch.",
        )
    if rule.cause == "schedule":
        try:
            period = float(rule.watch)
        except ValueError:
            period = 0.0
        if not 1 <= period < 1e9:
            raise Invalid(
                f"trigger {rule.name!r}: watch is no period; expected seconds, at least 1",
                code="bad-trigger",
                hint="A day is 86400.",
            )
    if rule.cooldown_s < 0 or (rule.per_week is not None and rule.per_week < 1):
        raise Invalid(
            f"trigger {rule.name!r} has a limit out of range; expected cooldown_s >= 0 and "
            "per_week >= 1",
            code="bad-trigger",
            hint="Leave a limit out when there shall be none.",
        )
    module, colon, function = rule.flow.partition(":")
    if not (module and colon and function):
        raise Invalid(
            f"trigger {rule.name!r}: flow is no `module:function`",
            code="bad-trigger",
            hint="For example pipeline:train.",
        )
    try:
        msgspec.json.encode(rule.parameters)
    except (TypeError, ValueError) as error:
        raise Invalid(
            f"trigger {rule.name!r} has a parameter that is not JSON-ready: {error}",
            code="bad-trigger",
            hint="Pass numbers, text, lists or mappings; data sets by name.",
        ) from error
    return rule
