"""What the monitoring room records: baselines, closed windows, alerts and their end."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from trivet.core.facts import Fact
from trivet.releases.judge import RolloutPolicy


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of one window, with its interval where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


class Baseline(Fact, frozen=True, kw_only=True):
    """What a release is watched against. Parent: the model version. Immutable once recorded."""

    KIND = "monitoring.baseline"
    INDEXED = ("endpoint", "model")

    endpoint: str
    model: str
    reference: str
    """Blob digest: per-input histograms and loss windows from the held-out data."""
    loss: str
    """Which loss is watched: `brier` for binary, `log-loss`..., `absolute-error`."""
    level: float
    """Mean loss on the held-out data."""
    tolerance: float
    """The rise over `level` that is not yet harm: from the natural variation between windows."""
    card: dict[str, Any] = {}
    """Promised and measured false alarms a year, smallest visible change, expected days to it."""


class WindowClosed(Fact, frozen=True, kw_only=True):
    """A window over event time was closed. Parents: the release and the baseline."""

    KIND = "monitoring.window"
    INDEXED = ("endpoint",)

    endpoint: str
    release: str
    model: str
    start: datetime
    end: datetime
    predictions: int
    labelled: int
    figures: dict[str, Figure] = {}
    drift: dict[str, float] = {}
    """Per input: distance from the reference (Jensen-Shannon, bits)."""
    service: dict[str, float] = {}
    """Latency quantiles in microseconds, warnings and errors."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A likely cause, in words, with its weight in units of the loss (larger first)."""

    name: str
    summary: str
    impact: float


class Alert(Fact, frozen=True, kw_only=True):
    """Something got worse. Parents: the window that raised it, the release, the baseline."""

    KIND = "alert"
    INDEXED = ("endpoint", "fingerprint")

    endpoint: str
    fingerprint: str
    """Stable over time: the same trouble is one alert until it is resolved."""
    kind: Literal["quality", "drift", "data", "service"]
    release: str
    model: str
    event_time: datetime
    since: datetime | None
    """The detector's estimate of when the change began."""
    metric: str
    value: float
    low: float
    high: float
    baseline: float
    tolerance: float
    summary: str
    causes: tuple[Cause, ...]
    action: str


class AlertResolved(Fact, frozen=True, kw_only=True):
    """An alert ended. Parent: the alert."""

    KIND = "alert.resolved"
    INDEXED = ("alert", "endpoint")

    alert: str
    endpoint: str
    event_time: datetime
    how: str


class WatchSet(Fact, frozen=True, kw_only=True):
    """How an endpoint is watched; the head `monitor/<endpoint>` names the one in force."""

    KIND = "monitoring.watch"
    INDEXED = ("endpoint",)

    endpoint: str
    window_s: float = 86_400.0
    """Length of a window of event time, in seconds."""
    label_delay_s: float = 86_400.0
    """How long after a window's end most labels have arrived; it is closed then."""
    false_alarms_per_year: float = 1.0
    tolerance: float = 0.0
    """The rise of the watched loss that does not matter, in its own unit."""
    repeat_s: float = 1_209_600.0
    """While an alert is open, the least event time until a new one about the same endpoint, which
    takes new evidence: the detector begins afresh when that time is over."""
    automatic_rollouts: bool = True
    """Whether shadows and canaries are judged, and moved, at each look."""
    rollout: RolloutPolicy = RolloutPolicy()
