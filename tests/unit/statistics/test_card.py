import msgspec
import numpy as np
import pytest

from trivet.core.errors import Invalid
from trivet.statistics.baseline import describe_baseline
from trivet.statistics.card import Card, Promise, calibrate
from trivet.statistics.change import Detector, is_alarm, start_detector, watch_window
from trivet.statistics.special import chi2_quantile
from trivet.statistics.tally import Tally, tally, tally_sum

BASELINE_DAYS, YEAR = 60, 365


def _days(
    generator: np.random.Generator, rows: int, level_sd: float, memory: float, rise: float = 0.0
) -> list[Tally]:
    """A baseline and a year after it; levels are a first-order autoregression around 0.1."""
    length = BASELINE_DAYS + YEAR
    noise = generator.normal(size=length)
    levels = np.empty(length)
    levels[0] = noise[0]
    for day in range(1, length):
        levels[day] = memory * levels[day - 1] + np.sqrt(1 - memory**2) * noise[day]
    rates = 0.1 + level_sd * levels
    rates[BASELINE_DAYS:] += rise
    bad = generator.binomial(rows, np.clip(rates, 0, 1))
    return [tally_sum(rows, float(k), low=0, high=1) for k in bad]


def _days_until_alarm(detector: Detector, windows: list[Tally]) -> int | None:
    state = start_detector(detector)
    for day, window in enumerate(windows):
        state = watch_window(detector, state, window)
        if is_alarm(detector, state):
            return day + 1
    return None


def _most_alarms(expected: float) -> float:
    """Upper 99.9 % limit of a Poisson count, roughly."""
    return chi2_quantile(0.999, 2 * expected + 2) / 2


@pytest.mark.parametrize(
    ("rows", "level_sd", "memory"),
    [(500, 0.0, 0.0), (2000, 0.02, 0.9)],
    ids=["rows alone vary", "days have levels that persist"],
)
def test_after_calibration_there_are_no_more_false_alarms_than_promised(
    rows: int, level_sd: float, memory: float
) -> None:
    generator = np.random.default_rng(1)
    worlds, alarms, years = 16, 0, 0.0
    for _ in range(worlds):
        days = _days(generator, rows, level_sd, memory)
        detector, card = calibrate(days[:BASELINE_DAYS], Promise(1.0), simulations=100)
        assert card.measured_per_year <= card.promised_per_year
        end = _days_until_alarm(detector, days[BASELINE_DAYS:])
        alarms += end is not None
        years += (end or YEAR) / YEAR
    assert alarms <= _most_alarms(years)


def test_without_calibration_days_with_levels_alarm_many_times_a_year() -> None:
    generator = np.random.default_rng(2)
    days = _days(generator, 2000, 0.02, 0.9)
    mean = float(np.mean([day.mean for day in days]))
    naive = Detector(mean, 0.0, YEAR, 0.0, 1.0)
    state, alarms = start_detector(naive), 0
    for day in days[BASELINE_DAYS:]:
        state = watch_window(naive, state, day)
        if is_alarm(naive, state):
            state, alarms = start_detector(naive), alarms + 1
    assert alarms >= 10


def test_a_rise_of_the_loss_is_found_about_when_the_card_says() -> None:
    generator = np.random.default_rng(3)
    found = []
    for _ in range(8):
        baseline = _days(generator, 500, 0.01, 0.0)[:BASELINE_DAYS]
        detector, card = calibrate(baseline, simulations=100)
        assert card.smallest_change is not None
        after = _days(generator, 500, 0.01, 0.0, rise=card.smallest_change)
        found.append(_days_until_alarm(detector, after[BASELINE_DAYS:]) or YEAR)
    assert np.median(found) <= 1.5 * card.horizon
    assert card.expected_windows is not None
    assert card.expected_windows <= card.horizon


def test_larger_rises_are_found_sooner() -> None:
    days = _days(np.random.default_rng(4), 500, 0.01, 0.3)[:BASELINE_DAYS]
    _, card = calibrate(days, simulations=100)
    waits = [delay.median_windows for delay in card.delays]
    assert len(waits) >= 3
    assert waits == sorted(waits, reverse=True)
    assert card.smallest_change == card.delays[0].rise


def test_a_stricter_promise_makes_a_blinder_detector() -> None:
    days = _days(np.random.default_rng(5), 500, 0.01, 0.3)[:BASELINE_DAYS]
    _, often = calibrate(days, Promise(2.0), simulations=100)
    _, seldom = calibrate(days, Promise(0.1), simulations=100)
    assert seldom.threshold > often.threshold
    assert seldom.smallest_change > often.smallest_change


def test_a_strict_promise_leaves_room_for_the_error_of_the_baseline_itself() -> None:
    days = _days(np.random.default_rng(8), 500, 0.01, 0.0)[:20]
    detector, _ = calibrate(days, Promise(0.05), simulations=200)
    assert detector.tolerance >= describe_baseline(days).mean_error


def test_a_rise_that_does_not_matter_is_the_least_tolerance() -> None:
    days = _days(np.random.default_rng(6), 500, 0.0, 0.0)[:BASELINE_DAYS]
    detector, card = calibrate(days, Promise(tolerance=0.02), simulations=100)
    assert detector.tolerance == card.tolerance >= 0.02
    assert card.smallest_change > 0.02


def test_the_same_seed_gives_the_same_card_and_it_survives_storage() -> None:
    generator = np.random.default_rng(7)
    days = [tally(generator.beta(2, 9, 300), low=0, high=1) for _ in range(30)]
    detector, card = calibrate(days, simulations=100, seed=3)
    assert calibrate(days, simulations=100, seed=3) == (detector, card)
    assert msgspec.json.decode(msgspec.json.encode(card), type=Card) == card
    assert msgspec.json.decode(msgspec.json.encode(detector), type=Detector) == detector


def test_a_loss_that_was_always_zero_leaves_room_for_a_few_rows() -> None:
    detector, card = calibrate([tally_sum(100, 0, low=0, high=1)] * 20, simulations=100)
    assert detector.edge == pytest.approx(3 / 2000)
    assert card.measured_per_year == 0


def test_a_baseline_that_swings_wildly_gives_a_card_that_admits_to_see_little() -> None:
    halves = [tally_sum(100, 99 if day % 8 < 4 else 1, low=0, high=1) for day in range(16)]
    _, card = calibrate(halves, Promise(0.1), simulations=100)
    assert card.design_effect > 50
    assert card.smallest_change is None or card.smallest_change > 0.3


def test_a_promise_without_sense_is_refused() -> None:
    with pytest.raises(Invalid):
        Promise(false_alarms_per_year=0)
    with pytest.raises(Invalid):
        Promise(tolerance=-1)
    with pytest.raises(Invalid) as caught:
        calibrate([tally_sum(10, 1, low=0, high=1)] * 3)
    assert caught.value.code == "too-few-windows"
