"""A detector of a lasting rise of a bounded loss above its baseline, fed one window at a time.

An e-detector (Shin, Ramdas & Rinaldo 2024): while the mean loss stays at or below baseline plus
tolerance, the mean number of windows until an alarm is at least `threshold`, for any law on the
range. Unlike a plain e-process it does not lose its eye for a change while all is well.
"""

import math
from dataclasses import dataclass

import numpy as np

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Values
from trivet.statistics.sequential import log_bets, log_mean_exp
from trivet.statistics.tally import Tally

STAKES: tuple[float, ...] = tuple(2.0**-k for k in range(1, 9))


@dataclass(frozen=True)
class Detector:
    """What is watched, and what it takes to alarm.

    Attributes:
        baseline_mean: Mean loss while all was well.
        tolerance: Rise above it that is accepted, >= 0: what does not matter, plus the natural
            variation and the baseline's own error.
        threshold: Evidence at which it alarms, >= 1: the promised mean number of windows
            between false alarms.
        low: Smallest possible loss.
        high: Largest possible loss.
        row_variance: Variance of the loss within a window.
        level_variance: Long-run variance of the windows' own levels. A window of n rows counts
            as n / (1 + n level_variance / row_variance) rows: however large the window, it is
            one draw of a level. 0 takes all rows of all windows as independent.
        stakes: Shares of the largest safe bet, each played with an equal part of the capital.
    """

    baseline_mean: float
    tolerance: float
    threshold: float
    low: float
    high: float
    row_variance: float = 1.0
    level_variance: float = 0.0
    stakes: tuple[float, ...] = STAKES

    def __post_init__(self) -> None:
        if not self.low < self.baseline_mean + self.tolerance < self.high:
            raise Invalid(
                "baseline_mean + tolerance must lie strictly between low and high",
                code="baseline-too-noisy",
                hint="Use more baseline windows, larger windows, or a less noisy loss.",
            )
        if self.tolerance < 0 or self.threshold < 1 or self.level_variance < 0:
            raise Invalid("tolerance, level_variance must be >= 0 and threshold >= 1")
        if self.row_variance <= 0 < self.level_variance:
            raise Invalid("row_variance must be above 0 where level_variance is")
        if not self.stakes or not all(0 < stake < 1 for stake in self.stakes):
            raise Invalid("stakes must lie strictly between 0 and 1")

    @property
    def edge(self) -> float:
        """The highest mean loss that is still fine."""
        return self.baseline_mean + self.tolerance

    @property
    def log_threshold(self) -> float:
        """The `log_evidence` at which it alarms."""
        return math.log1p(self.threshold)

    def design_effect(self, n: float) -> float:
        """How many rows of a window of n are worth one independent row, >= 1."""
        if self.level_variance == 0:
            return 1.0
        return 1 + n * self.level_variance / self.row_variance


@dataclass(frozen=True)
class DetectorState:
    """All that is remembered of the windows so far, however many.

    Attributes:
        windows: Windows seen.
        log_sums: log(1 + Shiryaev-Roberts statistic) of each stake, >= 0.
        log_climbs: CUSUM of each stake, >= 0: its log capital since it last had to start anew.
        since: Window (from 0) in which each climb began; meaningless where the climb is 0.
    """

    windows: int
    log_sums: tuple[float, ...]
    log_climbs: tuple[float, ...]
    since: tuple[int, ...]


def start_detector(detector: Detector) -> DetectorState:
    """Return the state before the first window, or after an alarm was dealt with."""
    zeros = (0.0,) * len(detector.stakes)
    return DetectorState(0, zeros, zeros, (0,) * len(detector.stakes))


def window_evidence(detector: Detector, window: Tally) -> Values:
    """Log growth of each stake over one window, shape (stakes,); 0 for an empty window.

    The stakes are fixed within the window, so the order of its rows does not matter.

    Raises:
        Invalid: The window counts another range of loss.
    """
    if (window.low, window.high) != (detector.low, detector.high):
        raise Invalid("the window's range of loss differs from the detector's")
    bets = log_bets(window.points, detector.edge, detector.low, np.asarray(detector.stakes))
    return np.asarray(window.mass) @ bets / detector.design_effect(window.n)


def watch_window(detector: Detector, state: DetectorState, window: Tally) -> DetectorState:
    """Fold one closed window into the state.

    Args:
        detector: The settings; the same for every window of a watch.
        state: From `start_detector` or the previous window.
        window: Losses of the rows of this window; empty is fine.
    """
    gain = window_evidence(detector, window)
    # M <- (M + 1) e, kept as log(1 + M), which is 0 at the start and never overflows.
    sums = np.logaddexp(0.0, np.asarray(state.log_sums) + gain)
    before = np.asarray(state.log_climbs)
    climbs = np.maximum(0.0, before + gain)
    since = np.where(before > 0, np.asarray(state.since), state.windows)
    return DetectorState(
        windows=state.windows + 1,
        log_sums=tuple(sums.tolist()),
        log_climbs=tuple(climbs.tolist()),
        since=tuple(since.tolist()),
    )


def log_evidence(state: DetectorState) -> float:
    """log(1 + evidence for a rise), >= 0; compare with `Detector.log_threshold`.

    The evidence is the mean of the stakes' Shiryaev-Roberts statistics, itself an e-detector.
    """
    return max(0.0, log_mean_exp(np.asarray(state.log_sums)))


def is_alarm(detector: Detector, state: DetectorState) -> bool:
    """Whether the evidence has reached the threshold now."""
    return log_evidence(state) >= detector.log_threshold


def change_point(state: DetectorState) -> int | None:
    """Estimate the window (from 0) in which the rise began; None while nothing climbs.

    The start of the highest climb: the likelihood estimate of Page's CUSUM (1954) with the
    best of the stakes.
    """
    best = int(np.argmax(state.log_climbs))
    return state.since[best] if state.log_climbs[best] > 0 else None
