"""What the triggers room records: triggers, and each decision to fire or not."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from trivet.core.facts import Fact

Cause = Literal["alert", "schedule", "data", "hand"]


class TriggerSet(Fact, frozen=True, kw_only=True):
    """A trigger was set or changed; the head `trigger/<name>` names the one in force."""

    KIND = "trigger"
    INDEXED = ("name",)

    name: str
    cause: Cause
    watch: str
    """What it looks at: an endpoint (`alert`), a data set (`data`), a period in seconds
    (`schedule`); empty for `hand`."""
    flow: str
    """The flow to run, `module:function`."""
    parameters: dict[str, Any] = {}
    cooldown_s: float = 0.0
    """Least time between two firings, on the event clock."""
    per_week: int | None = None
    """At most so many firings in seven days."""
    paused: bool = False
    since: datetime
    """Event time from which a schedule counts."""
    seen: str | None = None
    """For `data`: the version that stood when the trigger was set, and so is nothing new."""


class Firing(Fact, frozen=True, kw_only=True):
    """A trigger was asked and answered. Parents: the trigger, then the facts it went by."""

    KIND = "trigger.firing"
    INDEXED = ("trigger", "outcome")

    trigger: str
    """The trigger's name."""
    outcome: Literal["fired", "held"]
    reason: str
    event_time: datetime
    task: str | None = None
    """Key of the task in queue `runs` when it fired."""


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger with the identifier of its fact."""

    id: str
    rule: TriggerSet
