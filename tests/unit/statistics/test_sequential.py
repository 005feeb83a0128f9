import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.statistics import sequential
from trivet.statistics.sequential import (
    CountTest,
    confidence_sequence,
    harm_test,
    log_e_above,
    log_e_below,
    promotion_test,
    split_test,
    update_counts,
)
from trivet.statistics.tally import empty_tally, merge_tallies, paired_tally, tally

shares = st.floats(min_value=0.01, max_value=0.99)
stretches = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50), shares), min_size=1, max_size=6
)


def _feed(test: CountTest, parts: list[tuple[int, int, float]]) -> CountTest:
    for canary, baseline, share in parts:
        test = update_counts(test, canary=canary, baseline=baseline, share=share)
    return test


def _at_most(count: int, runs: int, rate: float) -> bool:
    """Whether `count` of `runs` is within three standard errors of a rate of at most `rate`."""
    return count <= runs * rate + 3 * math.sqrt(runs * rate * (1 - rate))


@given(share=shares, margin=st.floats(min_value=0.05, max_value=2))
def test_one_event_under_the_null_leaves_the_expected_evidence_at_one(
    share: float, margin: float
) -> None:
    for test in (harm_test(), promotion_test(margin), split_test()):
        on_canary = share * test.null_ratio / (share * test.null_ratio + 1 - share)
        hit = update_counts(test, canary=1, baseline=0, share=share).log_e
        miss = update_counts(test, canary=0, baseline=1, share=share).log_e
        expected = on_canary * math.exp(hit) + (1 - on_canary) * math.exp(miss)
        assert expected == pytest.approx(1.0, abs=1e-9)


@given(share=shares, better=st.floats(min_value=0.1, max_value=1))
def test_a_canary_better_than_the_null_only_lowers_the_evidence_of_harm(
    share: float, better: float
) -> None:
    on_canary = share * better / (share * better + 1 - share)
    hit = update_counts(harm_test(), canary=1, baseline=0, share=share).log_e
    miss = update_counts(harm_test(), canary=0, baseline=1, share=share).log_e
    assert on_canary * math.exp(hit) + (1 - on_canary) * math.exp(miss) <= 1 + 1e-9


@given(parts=stretches, order=st.randoms())
def test_stretches_of_traffic_may_arrive_in_any_order(
    parts: list[tuple[int, int, float]], order: object
) -> None:
    shuffled = sorted(parts, key=lambda _: order.random())  # type: ignore[attr-defined]
    there, back = _feed(harm_test(), parts), _feed(harm_test(), shuffled)
    assert there.log_wealth == pytest.approx(back.log_wealth, abs=1e-9)
    assert (there.canary, there.baseline) == (back.canary, back.baseline)


def _canary_runs(
    generator: np.random.Generator, test: CountTest, ratio: float, runs: int
) -> list[CountTest]:
    """Sixty minutes of events at 2 % of 1000 requests a minute, the share stepping up."""
    ends: list[CountTest] = []
    steps = [0.05] * 10 + [0.1] * 10 + [0.25] * 10 + [0.5] * 30
    for _ in range(runs):
        state = test
        for share in steps:
            bad = generator.poisson(20 * ratio * share), generator.poisson(20 * (1 - share))
            state = update_counts(state, canary=bad[0], baseline=bad[1], share=share)
        ends.append(state)
    return ends


def test_a_canary_that_equals_the_baseline_is_rolled_back_at_most_as_often_as_promised() -> None:
    ends = _canary_runs(np.random.default_rng(1), harm_test(), 1.0, 300)
    assert _at_most(sum(end.is_rejected(0.05) for end in ends), 300, 0.05)


def test_a_canary_twice_as_bad_is_rolled_back() -> None:
    ends = _canary_runs(np.random.default_rng(2), harm_test(), 2.0, 20)
    assert all(end.is_rejected(0.01) for end in ends)
    assert max(end.p_value for end in ends) <= 0.01


def test_a_canary_at_the_edge_of_harm_is_promoted_at_most_as_often_as_promised() -> None:
    ends = _canary_runs(np.random.default_rng(3), promotion_test(0.5), 1.5, 300)
    assert _at_most(sum(end.is_rejected(0.05) for end in ends), 300, 0.05)


def test_a_canary_as_good_as_the_baseline_is_promoted() -> None:
    ends = _canary_runs(np.random.default_rng(4), promotion_test(0.5), 1.0, 20)
    assert sum(end.is_rejected(0.05) for end in ends) >= 18


def test_a_routing_that_is_two_points_off_is_noticed_and_a_right_one_is_not() -> None:
    generator = np.random.default_rng(5)
    alarms = {0.10: 0, 0.12: 0}
    for truth in alarms:
        for _ in range(100):
            state = split_test()
            for _ in range(20):
                canary = int(generator.binomial(1000, truth))
                state = update_counts(state, canary=canary, baseline=1000 - canary, share=0.1)
            alarms[truth] += state.is_rejected(0.01)
    assert _at_most(alarms[0.10], 100, 0.01)
    assert alarms[0.12] >= 95


@pytest.mark.parametrize("draw", ["rare", "even", "skewed"])
def test_a_confidence_sequence_misses_the_mean_at_any_look_at_most_as_often_as_promised(
    draw: str,
) -> None:
    generator = np.random.default_rng(6)
    law = {"rare": (0.02, None), "even": (0.5, None), "skewed": (0.25, (1, 3))}[draw]
    missed = 0
    for _ in range(60):
        seen = empty_tally(low=0, high=1)
        is_missed = False
        for _ in range(6):
            if law[1] is None:
                values = (generator.random(40) < law[0]).astype(float)
            else:
                values = generator.beta(*law[1], size=40)
            seen = merge_tallies(seen, tally(values, low=0, high=1))
            is_missed |= not confidence_sequence(seen, level=0.9).contains(law[0])
        missed += is_missed
    assert _at_most(missed, 60, 0.1)


@given(
    st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=50),
    st.sampled_from([0.5, 0.9, 0.99]),
)
def test_a_confidence_sequence_contains_its_mean_and_stays_in_range(
    values: list[float], level: float
) -> None:
    interval = confidence_sequence(tally(values, low=0, high=1), level=level)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1


def test_a_confidence_sequence_is_the_set_of_means_that_the_evidence_does_not_refute() -> None:
    seen = tally(np.random.default_rng(7).beta(2, 6, 400), low=0, high=1)
    interval = confidence_sequence(seen, level=0.95)
    needed = math.log(2 / 0.05)
    assert log_e_above(seen, interval.low - 1e-6) > needed > log_e_above(seen, interval.low + 1e-6)
    assert log_e_below(seen, interval.high + 1e-6) > needed
    assert log_e_below(seen, interval.high - 1e-6) < needed


def test_a_confidence_sequence_narrows_nearly_like_a_fixed_interval() -> None:
    generator = np.random.default_rng(8)
    widths = [
        confidence_sequence(tally(generator.beta(2, 6, n), low=0, high=1)).width
        for n in (100, 10_000)
    ]
    assert widths[1] < widths[0] / 7
    assert widths[1] < 2.2 * 2 * 1.96 * math.sqrt(2 * 6 / (64 * 9)) / 100


def test_evidence_does_not_depend_on_the_range_being_zero_to_one() -> None:
    values = np.random.default_rng(9).random(50)
    there = log_e_above(tally(values, low=0, high=1), 0.4)
    assert log_e_above(tally(values * 6 - 2, low=-2, high=4), 0.4 * 6 - 2) == pytest.approx(
        there, abs=1e-4
    )


def test_without_values_nothing_is_known() -> None:
    interval = confidence_sequence(empty_tally(low=-1, high=3))
    assert (interval.low, interval.high) == (-1, 3)


@pytest.mark.parametrize(
    ("gain", "expected"), [(0.2, "better"), (0.0, "not_worse"), (-0.2, "worse")]
)
def test_a_shadow_is_judged_by_its_paired_losses(gain: float, expected: str) -> None:
    generator = np.random.default_rng(10)
    champion = generator.uniform(0.3, 0.7, 4000)
    candidate = np.clip(champion - gain + generator.normal(scale=0.1, size=4000), 0, 1)
    gains = paired_tally(champion, candidate, loss_range=1)
    assert sequential.judge_pairs(gains, margin=0.05, alpha=0.01) == expected
    few = paired_tally(champion[:3], candidate[:3], loss_range=1)
    assert sequential.judge_pairs(few, margin=0.05, alpha=0.01) == "open"


def test_a_shadow_at_the_margin_is_called_good_at_most_as_often_as_promised() -> None:
    generator = np.random.default_rng(11)
    wrong = 0
    for _ in range(150):
        gains = empty_tally(low=-1, high=1, cells=256)
        for _ in range(10):
            champion = generator.random(60) < 0.2
            candidate = generator.random(60) < 0.25
            gains = merge_tallies(gains, paired_tally(champion, candidate, loss_range=1))
            if sequential.judge_pairs(gains, margin=0.05, alpha=0.1) in {"better", "not_worse"}:
                wrong += 1
                break
    assert _at_most(wrong, 150, 0.1)


@given(st.lists(st.floats(min_value=-50, max_value=800), min_size=1, max_size=9))
def test_averaged_evidence_lies_between_the_least_and_the_most(logs: list[float]) -> None:
    combined = sequential.combine_log_e(logs)
    assert min(logs) - 1e-9 <= combined <= max(logs) + 1e-9
    assert sequential.combine_log_e(logs, [2.0] * len(logs)) == pytest.approx(combined)


def test_weights_choose_whose_evidence_counts() -> None:
    assert sequential.combine_log_e([5.0, 1.0], [0, 1]) == pytest.approx(1.0)
    assert sequential.combine_log_e([math.log(4), 0.0], [3, 1]) == pytest.approx(math.log(3.25))


def test_a_test_survives_storage() -> None:
    state = update_counts(promotion_test(0.25), canary=3, baseline=20, share=0.1)
    assert msgspec.json.decode(msgspec.json.encode(state), type=CountTest) == state


def test_questions_without_sense_are_refused() -> None:
    with pytest.raises(Invalid):
        harm_test(ratios=(0.9, 2.0))
    with pytest.raises(Invalid):
        promotion_test(0)
    with pytest.raises(Invalid):
        update_counts(harm_test(), canary=1, baseline=1, share=1.0)
    with pytest.raises(Invalid):
        update_counts(harm_test(), canary=-1, baseline=1, share=0.5)
    with pytest.raises(Invalid):
        log_e_above(tally([0.5], low=0, high=1), 1.0)
