"""A monitor's card: what it promises, what it does on resampled baseline days, what it can see."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Values
from trivet.statistics.baseline import BaselineLevel, describe_baseline
from trivet.statistics.change import STAKES, Detector
from trivet.statistics.special import chi2_quantile
from trivet.statistics.tally import Tally

FOUND = 0.8
_MOST_LOG = 200.0


@dataclass(frozen=True)
class Promise:
    """What a monitor is asked to keep.

    Attributes:
        false_alarms_per_year: Accepted rate while nothing is wrong, > 0.
        windows_per_year: 365 for daily windows.
        tolerance: Smallest rise of the mean loss that matters, >= 0, in the loss's unit.
        horizon: Windows within which a change worth naming should be found, >= 1.
    """

    false_alarms_per_year: float = 1.0
    windows_per_year: int = 365
    tolerance: float = 0.0
    horizon: int = 30

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms_per_year <= self.windows_per_year:
            raise Invalid("false_alarms_per_year must be above 0 and at most windows_per_year")
        if self.tolerance < 0 or self.horizon < 1:
            raise Invalid("tolerance must be at least 0 and horizon at least 1")


@dataclass(frozen=True)
class Delay:
    """How a lasting rise of the mean loss by `rise` would be found.

    `found_share` within a year of windows; `median_windows` is None when fewer than half are.
    """

    rise: float
    found_share: float
    median_windows: float | None


@dataclass(frozen=True)
class Card:
    """The promise, and what was measured against it.

    Rates are alarms per year of watching; a watch ends with its first alarm, since the model or
    the baseline is renewed then. The measured rate includes that the baseline itself is only a
    sample: each simulated watch re-estimates it from its own resampled windows.

    Attributes:
        promised_per_year: From the promise.
        measured_per_year: On resampled baseline windows.
        measured_high: Upper 95 % limit of the measured rate, from the number of simulations.
        tolerance: Rise that is accepted: at least the promise's, more where variation needs it.
        threshold: Mean number of windows between false alarms, by theory.
        baseline_mean: Mean loss of the baseline.
        level_sd: Natural standard deviation of a window's level, sampling of rows excluded.
        autocorrelation: Of neighbouring windows' levels.
        design_effect: Rows of a typical window that are worth one independent row.
        smallest_change: Smallest rise found within the horizon in 80 % of the simulations, or
            None when even the largest possible rise is not.
        expected_windows: Median windows until that rise is found.
        delays: The same for larger rises.
        horizon: From the promise.
        windows_per_year: From the promise.
        baseline_windows: Windows that the card rests on.
        block: Neighbouring windows that were resampled together.
        simulations: Years simulated.
    """

    promised_per_year: float
    measured_per_year: float
    measured_high: float
    tolerance: float
    threshold: float
    baseline_mean: float
    level_sd: float
    autocorrelation: float
    design_effect: float
    smallest_change: float | None
    expected_windows: float | None
    delays: tuple[Delay, ...]
    horizon: int
    windows_per_year: int
    baseline_windows: int
    block: int
    simulations: int


@dataclass(frozen=True)
class _World:
    """Baseline windows as arrays, and the resampled years that all questions share."""

    low: float
    high: float
    points: Values  # (K,)
    mass: Values  # (windows, K), each divided by its design effect
    means: Values  # (simulations,) baseline mean as each simulated watch would have estimated it
    years: npt.NDArray[np.intp]  # (windows_per_year, simulations) which baseline window comes


def _circular_blocks(
    generator: np.random.Generator, windows: int, block: int, shape: tuple[int, int]
) -> npt.NDArray[np.intp]:
    """Window numbers of shape (length, simulations), in runs of `block` closed to a circle."""
    length, simulations = shape
    first = generator.integers(0, windows, size=(-(-length // block), simulations))
    runs = (first[:, None, :] + np.arange(block)[None, :, None]) % windows
    return runs.reshape(-1, simulations)[:length]


def _make_world(
    windows: Sequence[Tally], level: BaselineLevel, shape: tuple[int, int], block: int, seed: int
) -> _World:
    generator = np.random.default_rng(seed)
    raw = np.array([w.mass for w in windows])
    sizes = raw.sum(axis=1)
    points = windows[0].points
    ratio = level.long_run_variance / level.row_variance if level.row_variance > 0 else 0.0
    mass = raw / (1 + sizes * ratio)[:, None]
    baselines = _circular_blocks(generator, len(windows), block, (len(windows), shape[1]))
    weights = mass.sum(axis=1)[baselines]
    means = (weights * (raw @ points / sizes)[baselines]).sum(axis=0) / weights.sum(axis=0)
    # Blocks understate the error of a mean under long memory; stretch it to the estimate.
    spread = float(means.std())
    stretch = max(1.0, level.mean_error / spread) if spread > 0 else 1.0
    return _World(
        low=windows[0].low,
        high=windows[0].high,
        points=points,
        mass=mass,
        means=level.mean + (means - means.mean()) * stretch,
        years=_circular_blocks(generator, len(windows), block, shape),
    )


def _first_alarms(world: _World, mass: Values, tolerance: float, log_threshold: float) -> Values:
    """Windows until the first alarm of each simulated year; infinity where none comes."""
    edges = np.clip(world.means + tolerance, world.low + 1e-9, None)
    surplus = (world.points[None, :] - edges[:, None]) / (edges - world.low)[:, None]
    growth = np.empty((edges.size, mass.shape[0], len(STAKES)))
    for k, stake in enumerate(STAKES):
        growth[:, :, k] = np.log1p(stake * surplus) @ mass.T
    # Capital far beyond any threshold is cut off, so that nothing overflows.
    growth = np.exp(np.minimum(growth, _MOST_LOG))
    watches, threshold = np.arange(edges.size), math.expm1(min(log_threshold, _MOST_LOG))
    capital = np.zeros((edges.size, len(STAKES)))
    first = np.full(edges.size, math.inf)
    for day, drawn in enumerate(world.years):
        capital = np.minimum((capital + 1) * growth[watches, drawn], math.exp(_MOST_LOG))
        alarmed = capital.mean(axis=1) >= threshold
        first = np.where(alarmed & np.isinf(first), day + 1.0, first)
    return first


def _rate(first: Values, windows_per_year: int) -> tuple[float, float]:
    """Alarms per year of watching, and its upper 95 % Poisson limit."""
    alarms = float(np.isfinite(first).sum())
    years = float(np.minimum(first, windows_per_year).sum()) / windows_per_year
    return alarms / years, chi2_quantile(0.95, 2 * (alarms + 1)) / 2 / years


def _smallest(passes: Callable[[float], bool], start: float, most: float) -> float | None:
    """Smallest value from `start` on that passes, to about 3 %; None when `most` does not."""
    if passes(start):
        return start
    low, high = start, start
    while not passes(high):
        if high >= most:
            return None
        low, high = high, min(most, max(high * 1.5, most / 1000))
    for _ in range(4):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def _tilted(world: _World, rise: float) -> Values:
    """Baseline windows whose mean loss is higher by `rise`, over the same values.

    Exponential tilting: the least change of law, in Kullback-Leibler distance, with that mean;
    for 0/1 losses exactly a higher rate.
    """
    pooled = world.mass.sum(axis=0)
    scaled = (world.points - world.low) / (world.high - world.low)
    base = float(np.dot(pooled, scaled) / pooled.sum())
    target = base + rise / (world.high - world.low)
    low, high = 0.0, 1.0

    def mean_at(tilt: float) -> float:
        weights = pooled * np.exp(tilt * (scaled - 1))
        return float(np.dot(weights, scaled) / weights.sum())

    while mean_at(high) < target and high < 500:
        low, high = high, high * 2
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if mean_at(middle) < target else (low, middle)
    weights = world.mass * np.exp(high * (scaled - 1))
    return weights * (world.mass.sum(axis=1) / weights.sum(axis=1))[:, None]


def _block(level: BaselineLevel) -> int:
    """A week, or longer where levels persist, but at least four blocks to draw from."""
    memory = math.ceil(2 / (1 - level.autocorrelation))
    return max(1, min(max(7, memory), level.windows // 4))


def calibrate(
    windows: Sequence[Tally],
    promise: Promise | None = None,
    *,
    block: int | None = None,
    simulations: int = 400,
    seed: int = 0,
) -> tuple[Detector, Card]:
    """Set up a detector so that its promise holds on resampled baseline windows.

    The threshold comes from theory (mean windows between alarms). Levels that vary between
    windows enter as a design effect. Then years are drawn from the baseline in blocks of
    neighbouring windows, each with a freshly resampled baseline of its own, and the tolerance
    is raised from the promise's until the measured rate is at most the promised one.

    Args:
        windows: Losses while all was well, one tally per window in order of time, at least 8
            with rows. Held-out rows, never rows the model was fitted to.
        promise: What to keep; once a year on daily windows when None.
        block: Neighbouring windows resampled together; chosen from the autocorrelation if None.
        simulations: Years to simulate, >= 100. A quarter of a second for 400 daily years.
        seed: Makes the card repeatable.

    Returns:
        The detector, and the card that says what it is worth.

    Raises:
        Invalid: Too few windows, or so noisy that no tolerance within the range is enough.
    """
    asked = promise or Promise()
    if simulations < 100 or (block is not None and block < 1):
        raise Invalid("simulations must be at least 100 and block at least 1")
    level = describe_baseline(windows)
    filled = [w for w in windows if w.n > 0]
    run = block or _block(level)
    year = asked.windows_per_year
    world = _make_world(filled, level, (year, simulations), run, seed)
    threshold = year / asked.false_alarms_per_year

    def first_alarms(mass: Values, tolerance: float) -> Values:
        return _first_alarms(world, mass, tolerance, math.log1p(threshold))

    def is_quiet(tolerance: float) -> bool:
        return _rate(first_alarms(world.mass, tolerance), year)[0] <= asked.false_alarms_per_year

    # A loss that was always the least possible needs some room: three rows' worth.
    least = max(asked.tolerance, 0.0 if level.mean > world.low else 3 * level.mean_error)
    start = least if is_quiet(least) else max(least, level.mean_error)
    tolerance = _smallest(is_quiet, start, 0.9 * (world.high - float(world.means.max())))
    if tolerance is None:
        raise Invalid(
            "the baseline varies too much for the promised false-alarm rate",
            code="baseline-too-noisy",
            hint="Use more baseline windows, larger windows, or accept more false alarms.",
        )
    detector = Detector(
        baseline_mean=level.mean,
        tolerance=tolerance,
        threshold=threshold,
        low=world.low,
        high=world.high,
        row_variance=max(level.row_variance, 1e-12),
        level_variance=level.long_run_variance,
    )
    measured, measured_high = _rate(first_alarms(world.mass, tolerance), year)
    found = _what_it_finds(world, detector, asked)
    card = Card(
        promised_per_year=asked.false_alarms_per_year,
        measured_per_year=measured,
        measured_high=measured_high,
        tolerance=tolerance,
        threshold=threshold,
        baseline_mean=level.mean,
        level_sd=math.sqrt(level.level_variance),
        autocorrelation=level.autocorrelation,
        design_effect=detector.design_effect(level.rows),
        smallest_change=found[0].rise if found else None,
        expected_windows=found[0].median_windows if found else None,
        delays=found,
        horizon=asked.horizon,
        windows_per_year=year,
        baseline_windows=level.windows,
        block=run,
        simulations=simulations,
    )
    return detector, card


def _what_it_finds(world: _World, detector: Detector, asked: Promise) -> tuple[Delay, ...]:
    """Delays of the smallest change found in time, and of one and a half, two and three times it.

    Empty when nothing possible is found in time.
    """

    def alarms_after(rise: float) -> Values:
        mass = _tilted(world, rise)
        return _first_alarms(world, mass, detector.tolerance, detector.log_threshold)

    def is_found(rise: float) -> bool:
        return float((alarms_after(rise) <= asked.horizon).mean()) >= FOUND

    carried = world.mass.sum(axis=0) > 0
    most = float(world.points[carried].max()) - detector.baseline_mean
    start = max(detector.tolerance, 0.005 * (detector.edge - detector.low))
    smallest = _smallest(is_found, start, 0.98 * most) if start < 0.98 * most else None
    if smallest is None:
        return ()
    delays: list[Delay] = []
    for rise in (smallest, 1.5 * smallest, 2 * smallest, 3 * smallest):
        if rise <= 0.98 * most:
            first = alarms_after(rise)
            share = float(np.isfinite(first).mean())
            median = float(np.median(first)) if share > 0.5 else None
            delays.append(Delay(rise, share, median))
    return tuple(delays)
