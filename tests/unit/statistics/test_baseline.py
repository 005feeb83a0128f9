import numpy as np
import pytest

from trivet.core.errors import Invalid
from trivet.statistics.baseline import describe_baseline
from trivet.statistics.tally import Tally, empty_tally, tally_sum


def _days(
    generator: np.random.Generator, days: int, rows: int, level_sd: float, memory: float
) -> list[Tally]:
    """Days of `rows` losses of 0 or 1, their rate a first-order autoregression around 0.1."""
    noise = generator.normal(size=days)
    levels = np.empty(days)
    levels[0] = noise[0]
    for day in range(1, days):
        levels[day] = memory * levels[day - 1] + np.sqrt(1 - memory**2) * noise[day]
    bad = generator.binomial(rows, np.clip(0.1 + level_sd * levels, 0, 1))
    return [tally_sum(rows, float(k), low=0, high=1) for k in bad]


def test_days_without_a_level_of_their_own_show_next_to_none() -> None:
    generator = np.random.default_rng(1)
    seen = [describe_baseline(_days(generator, 60, 500, 0.0, 0.0)) for _ in range(40)]
    assert np.median([level.level_variance for level in seen]) < 0.005**2
    assert np.mean([level.mean for level in seen]) == pytest.approx(0.1, abs=0.001)
    assert np.mean([level.row_variance for level in seen]) == pytest.approx(0.09, rel=0.02)


def test_the_levels_of_days_are_told_from_the_sampling_of_rows() -> None:
    generator = np.random.default_rng(2)
    seen = [describe_baseline(_days(generator, 60, 1000, 0.02, 0.0)) for _ in range(40)]
    assert np.mean([level.level_variance for level in seen]) == pytest.approx(0.0004, rel=0.15)


def test_days_that_remember_each_other_have_a_larger_long_run_variance() -> None:
    generator = np.random.default_rng(3)
    seen = [describe_baseline(_days(generator, 120, 2000, 0.02, 0.8)) for _ in range(40)]
    assert np.median([level.autocorrelation for level in seen]) == pytest.approx(0.8, abs=0.1)
    long_run = np.median([level.long_run_variance for level in seen])
    assert 0.5 < long_run / (0.0004 * 9) < 2


def test_the_error_of_the_mean_is_about_what_repetition_shows() -> None:
    generator = np.random.default_rng(4)
    seen = [describe_baseline(_days(generator, 60, 1000, 0.02, 0.5)) for _ in range(80)]
    shown = np.std([level.mean for level in seen])
    assert np.mean([level.mean_error for level in seen]) == pytest.approx(shown, rel=0.35)


def test_empty_days_are_skipped_and_few_days_refused() -> None:
    days = [tally_sum(50, 5, low=0, high=1)] * 8
    gap = [tally_sum(0, 0, low=0, high=1)]
    assert describe_baseline(days + gap * 3).windows == 8
    with pytest.raises(Invalid) as caught:
        describe_baseline(days[:7] + gap)
    assert caught.value.code == "too-few-windows"
    with pytest.raises(Invalid, match="share"):
        describe_baseline([*days, empty_tally(low=0, high=1)])


def test_losses_that_never_vary_are_known_to_one_rows_worth() -> None:
    level = describe_baseline([tally_sum(50, 0, low=0, high=1)] * 10)
    assert level.mean == 0
    assert level.mean_error == pytest.approx(1 / 500)
