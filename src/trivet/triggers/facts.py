"""What the triggers room records: triggers, each decision to fire or not, and back-fills."""

from datetime import datetime
from typing import Any, Literal, TypedDict

import msgspec

from trivet.core.facts import Fact

Cause = Literal["alert", "data", "asset", "files", "bucket", "git", "schedule", "cron", "hand"]
AlertKind = Literal["quality", "drift", "data", "service"]


class Options(TypedDict, total=False):
    """What may be said about a trigger besides what it watches and does.

    Every one stands in `TriggerSet` under the same name, with its meaning and its default.
    """

    branch: str
    paths: tuple[str, ...]
    kinds: tuple[AlertKind, ...]
    min_rows: int
    zone: str
    catch_up_s: float | None
    debounce_s: float
    debounce_at_most_s: float | None
    cooldown_s: float
    per_week: int | None
    seconds_per_week: float | None


class TriggerSet(Fact, frozen=True, kw_only=True):
    """A trigger was set or changed; the head `trigger/<name>` names the one in force."""

    KIND = "trigger"
    INDEXED = ("name",)

    name: str
    cause: Cause
    watch: str
    """What it looks at: an endpoint (`alert`), a data set (`data`), a result of a flow (`asset`), a
    folder, file or pattern (`files`), the URL of a bucket (`bucket`), a repository (`git`), a
    period in seconds (`schedule`), an expression (`cron`); empty for `hand`."""
    flow: str
    """The flow to run, `module:function`."""
    parameters: dict[str, Any] = {}
    branch: str = ""
    """For `git`: the branch; the one that is checked out there when empty."""
    paths: tuple[str, ...] = ()
    """For `git`: only changes below these paths count; all when empty."""
    kinds: tuple[AlertKind, ...] = ()
    """For `alert`: only alerts of these kinds; all when empty."""
    min_rows: int = 0
    """For `data`: least growth in rows since the version that was acted on."""
    zone: str = "UTC"
    """For `cron`: the time zone, an IANA name."""
    catch_up_s: float | None = None
    """For `schedule` and `cron`: a time that is longer past at a look is left out. None: however
    late, it is made up; several missed times are made up once."""
    debounce_s: float = 0.0
    """How long the cause must have been quiet, on the event clock."""
    debounce_at_most_s: float | None = None
    """The longest wait for quiet; None: ten times `debounce_s`."""
    cooldown_s: float = 0.0
    """Least time between two firings, on the event clock."""
    per_week: int | None = None
    """At most so many firings in seven days."""
    seconds_per_week: float | None = None
    """No firing once the runs asked for in seven days took so many seconds together."""
    paused: bool = False
    since: datetime
    """Event time from which a schedule counts, and what was seen is kept."""
    seen: str | None = None
    """What stood when the trigger was set, and so is nothing new: a data version, a version of an
    asset, a commit, or the blob digest of a listing."""
    watching: str = ""
    """Names the time for which it watches the same thing; another one begins with another watch."""


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
    watching: str = ""
    """`TriggerSet.watching` of then."""
    seen: str | None = None
    """What it acted on when it fired, in the form of `TriggerSet.seen`."""


class BackfillSet(Fact, frozen=True, kw_only=True):
    """A back-fill was begun or changed; the head `backfill/<name>` names the one in force.

    The head `backfill-open/<name>` exists while there is something left to do. Parent: the fact
    that it takes the place of.
    """

    KIND = "backfill"
    INDEXED = ("name",)

    name: str
    flow: str
    over: tuple[str, ...]
    """The axes as they were written, such as `day=2026-01-01..2026-01-31`."""
    parameters: dict[str, Any] = {}
    """Further parameters, the same in every partition."""
    newest_first: bool = False
    at_once: int = 1
    """How many partitions may run at the same time."""
    again: dict[str, int] = {}
    """What is tried again: tasks that failed or were cancelled, with the epoch at which they did.
    Once it is, the epoch is another."""
    cancelled: bool = False


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger with the identifier of its fact."""

    id: str
    rule: TriggerSet


class Woken(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger that will be looked at soon. Whether it fires is decided by what is there."""

    trigger: str
    at: datetime


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a trigger would do at this moment, and why. Nothing was recorded."""

    trigger: str
    would_fire: bool
    reason: str
    mark: str | None
    """What it would act on."""
    fired_last: datetime | None
    fired_this_week: int
    next: datetime | None
    """When its schedule is due next."""
