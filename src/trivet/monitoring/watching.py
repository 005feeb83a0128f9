"""Watching one champion: its baseline, its detector, and the alert when its loss has risen.

Numeric: imports NumPy.
"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trivet.core.clock import from_micros
from trivet.core.errors import Invalid
from trivet.core.ports import Blobs
from trivet.models.facts import ModelVersion, Signature
from trivet.models.packaging import REFERENCE, LossWindow, Reference, open_package
from trivet.models.reference import LOSS_RANGES, day_losses
from trivet.monitoring.causes import bias_cause, shift_causes, slice_causes
from trivet.monitoring.collecting import Seen
from trivet.monitoring.drift import distances, slots_of
from trivet.monitoring.facts import Alert, Baseline, Cause, WatchSet, WindowClosed
from trivet.monitoring.losses import WATCHED, figures, labelled
from trivet.releases.facts import Release
from trivet.statistics.card import Promise, calibrate
from trivet.statistics.change import (
    Detector,
    DetectorState,
    change_point,
    is_alarm,
    start_detector,
    watch_window,
)
from trivet.statistics.intervals import student_mean
from trivet.statistics.tally import Tally, merge_tallies, tally

Floats = NDArray[np.float64]

NO_DAYS = (
    "The held-out rows have no time, so nobody knows how much days differ by themselves: expect "
    "more false alarms than promised. Name the time column in gate.toml, section [rows]."
)
_YEAR_S = 365 * 86_400
_KEPT_WINDOWS = 28
_MOST_CAUSES = 3


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What closing a window found."""

    window: WindowClosed
    alert: Alert | None


class _State(msgspec.Struct, frozen=True, kw_only=True):
    detector: DetectorState
    starts: tuple[int, ...]
    """Starts (microseconds) of the windows the detector has seen since it began."""


class Watcher:
    """Watches one model on one endpoint.

    Args:
        blobs: Where its package is.
        watch: How the endpoint is watched.
        model_id: The champion.
        version: Its registered version.
    """

    def __init__(self, blobs: Blobs, watch: WatchSet, model_id: str, version: ModelVersion) -> None:
        package = open_package(blobs, version.package)
        self.model_id = model_id
        self.baseline_id = ""
        self.is_muted = False
        """While it is set, windows are measured and the detector sees none of them."""
        self.signature: Signature = package.signature
        self.reference: Reference = package.reference
        self.scale = self.reference.loss_scale
        self.watch = watch
        self._package = version.package
        self._loss = WATCHED[self.signature.task]
        self._label = f"{version.name}:{version.version}"
        self._detector, card = self._calibrate(self.reference.windows)
        self._state = None if self._detector is None else start_detector(self._detector)
        self._starts: list[int] = []
        self._recent: deque[tuple[Seen, ...]] = deque(maxlen=_KEPT_WINDOWS)
        self.baseline = Baseline(
            endpoint=watch.endpoint,
            model=model_id,
            reference=package.manifest.files[REFERENCE].digest,
            loss=self._loss,
            level=self._detector.baseline_mean if self._detector else 0.0,
            tolerance=self._detector.tolerance if self._detector else 0.0,
            card=card,
        )

    def _calibrate(self, windows: tuple[LossWindow, ...]) -> tuple[Detector | None, dict[str, Any]]:
        tallies = [window.losses[self._loss] for window in windows]
        promise = Promise(
            false_alarms_per_year=self.watch.false_alarms_per_year,
            windows_per_year=max(10, round(_YEAR_S / self.watch.window_s)),
            tolerance=self.watch.tolerance + self._slack(tallies),
        )
        try:
            detector, card = calibrate(tallies, promise)
        except Invalid as error:
            # Too few held-out days to know what is natural: windows are measured, nothing alarms,
            # and the baseline says so to whoever reads it.
            return None, {"silent": error.message, "hint": error.hint}
        found: dict[str, Any] = msgspec.to_builtins(card)
        if not self.reference.has_days:
            found["assumes"] = NO_DAYS
        return detector, found

    def _slack(self, tallies: Sequence[Tally]) -> float:
        """Return the rise that only brings the loss to where it belongs.

        The excess Brier loss of a calibrated model is 0. Held-out days on which it was below that
        were luck, or caution; going up to 0 is not getting worse.
        """
        if self._loss != "excess-brier" or not tallies:
            return 0.0
        mean = merge_tallies(*tallies).mean
        return max(0.0, -mean)

    def state(self) -> bytes:
        """Return the detector's state, to be kept."""
        if self._state is None:
            return b""
        return msgspec.json.encode(_State(detector=self._state, starts=tuple(self._starts)))

    def restore(self, state: bytes) -> None:
        """Go on from a kept state."""
        if state and self._detector is not None:
            kept = msgspec.json.decode(state, type=_State)
            self._state = kept.detector
            self._starts = list(kept.starts)

    @property
    def starts(self) -> tuple[datetime, ...]:
        """Starts of the windows that an alert's causes would be looked for in."""
        return tuple(from_micros(micros) for micros in self._starts[-_KEPT_WINDOWS:])

    def remember(self, windows: Sequence[tuple[Seen, ...]]) -> None:
        """Take up the rows of the windows in `starts`, which another process had seen."""
        self._recent.extend(_labelled(self._own(rows)) for rows in windows)

    def close(
        self, rows: tuple[Seen, ...], start: datetime, end: datetime, release: Release, late: int
    ) -> Watched:
        """Measure a window, feed the detector, and say whether it alarms.

        Args:
            rows: The window's rows, shadows included.
            start: Its start.
            end: Its end.
            release: The release in force.
            late: Predictions that came after their window was closed, so far.
        """
        live = tuple(row for row in rows if row.prediction.role == "live")
        own = self._own(rows)
        truth, outputs = labelled(own)
        window = WindowClosed(
            endpoint=self.watch.endpoint,
            release=release.id,
            model=self.model_id,
            start=start,
            end=end,
            predictions=len(live),
            labelled=truth.size,
            figures=figures(self.signature, truth, outputs),
            drift=self._drift(own),
            service=_service(live, late),
        )
        listens = self._detector is not None and not self.is_muted
        alert = self._feed(own, start, release) if listens else None
        return Watched(window=window, alert=alert)

    def _own(self, rows: tuple[Seen, ...]) -> tuple[Seen, ...]:
        """Return the rows that this very model answered to somebody."""
        return tuple(
            row
            for row in rows
            if row.prediction.role == "live" and row.prediction.package == self._package
        )

    def _drift(self, rows: tuple[Seen, ...]) -> dict[str, float]:
        places = {item.name: at for at, item in enumerate(self.signature.inputs)}
        slots = [
            slots_of(r, [row.prediction.inputs[places[r.name]] for row in rows])
            for r in self.reference.inputs
        ]
        return distances(self.reference.inputs, slots)

    def _feed(self, rows: tuple[Seen, ...], start: datetime, release: Release) -> Alert | None:
        assert self._detector is not None  # noqa: S101  # the caller asked
        assert self._state is not None  # noqa: S101  # made together with the detector
        truth, outputs = labelled(rows)
        if not truth.size:
            return None  # nothing was learnt: the detector must not take it for a good day
        losses = self._losses(truth, outputs)
        low, high = LOSS_RANGES[self._loss]
        self._state = watch_window(self._detector, self._state, tally(losses, low=low, high=high))
        self._starts.append(int(start.timestamp() * 1_000_000))
        self._recent.append(_labelled(rows))
        if not is_alarm(self._detector, self._state):
            return None
        began = change_point(self._state)
        alert = self._alert(began, start, release)
        # The evidence is spent: what the detector says next shall be new.
        self._state = start_detector(self._detector)
        self._starts.clear()
        self._recent.clear()
        return alert

    def _losses(self, truth: Floats, outputs: Floats) -> Floats:
        return day_losses(self.signature.task, truth, outputs, self.scale)[self._loss]

    def _alert(self, began: int | None, start: datetime, release: Release) -> Alert:
        assert self._detector is not None  # noqa: S101  # only a detector alarms
        count = len(self._starts) - (began or 0)
        rows = tuple(row for window in list(self._recent)[-count:] for row in window)
        truth, outputs = labelled(rows)
        losses = self._losses(truth, outputs)
        bounds = student_mean(losses)
        causes = self._causes(rows, truth, outputs, losses)
        since = from_micros(self._starts[began or 0])
        level = self._detector.baseline_mean
        named = causes[0].summary if causes else "no single input explains it"
        return Alert(
            endpoint=self.watch.endpoint,
            fingerprint=f"{self.watch.endpoint}/quality/{self.model_id}",
            kind="quality",
            release=release.id,
            model=self.model_id,
            event_time=start + timedelta(seconds=self.watch.window_s),
            since=since,
            metric=self._loss,
            value=bounds.estimate,
            low=bounds.low,
            high=bounds.high,
            baseline=level,
            tolerance=self._detector.tolerance,
            summary=f"{self._label} got worse: {self._loss} {bounds.estimate:+.4f} "
            f"({bounds.low:+.4f} to {bounds.high:+.4f}) since {since:%Y-%m-%d}, "
            f"{level:+.4f} when it was judged; {named}",
            causes=tuple(causes),
            action="Retrain on data that includes the time since, and let the gate decide."
            + ("" if self.reference.has_days else f" {NO_DAYS}"),
        )

    def _causes(
        self,
        rows: tuple[Seen, ...],
        truth: Floats,
        outputs: Floats,
        losses: Floats,
    ) -> list[Cause]:
        assert self._detector is not None  # noqa: S101  # only a detector alarms
        inputs = self.signature.inputs
        places = {item.name: at for at, item in enumerate(inputs)}
        references = self.reference.inputs
        columns = [[row.prediction.inputs[places[r.name]] for row in rows] for r in references]
        found = shift_causes(
            [inputs[places[r.name]] for r in references],
            [slots_of(r, column) for r, column in zip(references, columns, strict=True)],
            [np.asarray(r.counts, np.int64) for r in references],
            losses,
            [r.bins.labels() for r in references],
        )
        if self.signature.task != "multiclass":
            found += bias_cause(truth, outputs[:, 0])
        values = [[row.prediction.inputs[at] for row in rows] for at in range(len(inputs))]
        found += slice_causes(inputs, values, losses, self._detector.baseline_mean)
        return sorted(found, key=lambda cause: -cause.impact)[:_MOST_CAUSES]


def _labelled(rows: tuple[Seen, ...]) -> tuple[Seen, ...]:
    return tuple(row for row in rows if row.label is not None)


def _service(rows: tuple[Seen, ...], late: int) -> dict[str, float]:
    if not rows:
        return {"late": float(late)}
    micros = np.array([row.prediction.micros for row in rows], np.float64)
    warned = sum(1 for row in rows if row.prediction.warnings)
    return {
        "latency-p50-us": float(np.quantile(micros, 0.5)),
        "latency-p99-us": float(np.quantile(micros, 0.99)),
        "warned": float(warned),
        "late": float(late),
    }
