import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.statistics.change import (
    Detector,
    DetectorState,
    change_point,
    is_alarm,
    log_evidence,
    start_detector,
    watch_window,
)
from trivet.statistics.tally import Tally, empty_tally, merge_tallies, tally, tally_sum


def _detector(**changes: float) -> Detector:
    settings: dict[str, float] = {
        "baseline_mean": 0.1,
        "tolerance": 0.0,
        "threshold": 50.0,
        "low": 0.0,
        "high": 1.0,
    }
    return Detector(**(settings | changes))


def _watch(detector: Detector, windows: list[Tally]) -> DetectorState:
    state = start_detector(detector)
    for window in windows:
        state = watch_window(detector, state, window)
    return state


def _first_alarm(detector: Detector, rates: np.ndarray, generator: np.random.Generator) -> int:
    state = start_detector(detector)
    for day, rate in enumerate(rates):
        bad = int(generator.binomial(100, rate))
        state = watch_window(detector, state, tally_sum(100, bad, low=0, high=1))
        if is_alarm(detector, state):
            return day
    return len(rates)


def test_on_average_false_alarms_come_no_sooner_than_the_threshold() -> None:
    generator = np.random.default_rng(1)
    detector = _detector(threshold=20.0)
    runs = [_first_alarm(detector, np.full(200, 0.1), generator) for _ in range(60)]
    # Cut off at 200 windows, so the true mean is higher still.
    assert np.mean(runs) >= 20


def test_a_rise_is_found_and_its_beginning_dated() -> None:
    generator = np.random.default_rng(2)
    detector = _detector(threshold=1e5)
    bad = generator.binomial(100, np.r_[np.full(200, 0.1), np.full(40, 0.2)], size=(10, 240))
    dated = []
    for run in bad:
        windows = [tally_sum(100, float(k), low=0, high=1) for k in run]
        assert not is_alarm(detector, _watch(detector, windows[:200]))
        state = _watch(detector, windows)
        assert is_alarm(detector, state)
        dated.append(change_point(state))
    assert abs(np.median(np.array(dated, dtype=float)) - 200) <= 2


def test_a_long_quiet_time_does_not_blunt_it() -> None:
    generator = np.random.default_rng(3)
    detector = _detector(threshold=365.0, tolerance=0.01)
    delays = []
    for quiet in (5, 400):
        rates = np.r_[np.full(quiet, 0.1), np.full(100, 0.18)]
        delays.append(
            np.median([_first_alarm(detector, rates, generator) - quiet for _ in range(8)])
        )
    assert delays[1] <= delays[0] + 3


def test_a_fall_of_the_loss_is_no_alarm() -> None:
    state = _watch(_detector(), [tally_sum(500, 10, low=0, high=1)] * 100)
    assert log_evidence(state) < 0.1
    assert change_point(state) is None


@given(st.lists(st.floats(min_value=0, max_value=1), min_size=2, max_size=30), st.randoms())
def test_rows_of_a_window_may_arrive_in_any_order_and_in_parts(
    values: list[float], order: object
) -> None:
    detector = _detector()
    whole = tally(values, low=0, high=1)
    order.shuffle(values)  # type: ignore[attr-defined]
    parts = [tally(part, low=0, high=1) for part in (values[:1], values[1:])]
    assert _watch(detector, [whole]) == _watch(detector, [merge_tallies(*parts)])


def test_a_window_without_rows_adds_no_evidence_but_time() -> None:
    detector = _detector()
    before = _watch(detector, [tally_sum(100, 20, low=0, high=1)])
    after = watch_window(detector, before, empty_tally(low=0, high=1))
    assert after.windows == 2
    assert after.log_climbs == before.log_climbs


def test_however_large_a_window_it_is_one_draw_of_a_level() -> None:
    detector = _detector(row_variance=0.09, level_variance=0.0004)
    assert detector.design_effect(225) == pytest.approx(2.0)
    large, huge = (
        log_evidence(_watch(detector, [tally_sum(n, 0.14 * n, low=0, high=1)]))
        for n in (10_000, 1_000_000)
    )
    assert huge == pytest.approx(large, rel=0.05)


def test_a_tolerance_is_a_rise_that_is_let_pass() -> None:
    windows = [tally_sum(1000, 115, low=0, high=1)] * 200
    assert is_alarm(_detector(), _watch(_detector(), windows))
    tolerant = _detector(tolerance=0.02)
    assert not is_alarm(tolerant, _watch(tolerant, windows))


def test_evidence_beyond_any_float_stays_finite() -> None:
    state = _watch(_detector(), [tally_sum(10**7, 10**7, low=0, high=1)] * 5)
    assert np.isfinite(log_evidence(state))
    assert is_alarm(_detector(), state)


def test_detector_and_state_survive_storage() -> None:
    detector = _detector()
    state = _watch(detector, [tally_sum(100, 20, low=0, high=1)] * 3)
    assert msgspec.json.decode(msgspec.json.encode(detector), type=Detector) == detector
    assert msgspec.json.decode(msgspec.json.encode(state), type=DetectorState) == state
    fresh = start_detector(detector)
    assert msgspec.json.decode(msgspec.json.encode(fresh), type=DetectorState) == fresh


def test_settings_and_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(Invalid) as caught:
        _detector(tolerance=0.95)
    assert caught.value.code == "baseline-too-noisy"
    with pytest.raises(Invalid):
        _detector(threshold=0.5)
    with pytest.raises(Invalid, match="range"):
        _watch(_detector(), [empty_tally(low=0, high=2)])
