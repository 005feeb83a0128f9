import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.statistics import intervals
from trivet.statistics.metrics import auc

counts = st.integers(min_value=1, max_value=5000).flatmap(
    lambda n: st.tuples(st.integers(min_value=0, max_value=n), st.just(n))
)


@given(counts=counts, level=st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_proportion_intervals_contain_the_estimate_and_stay_in_range(
    counts: tuple[int, int], level: float
) -> None:
    for interval in (
        intervals.wilson(*counts, level=level),
        intervals.clopper_pearson(*counts, level=level),
    ):
        assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
        assert interval.contains(interval.estimate)


def test_proportion_intervals_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for k, n in ((0, 10), (3, 10), (10, 10), (41, 1000)):
        test = stats.binomtest(k, n)
        for method, ours in (
            ("wilson", intervals.wilson(k, n)),
            ("exact", intervals.clopper_pearson(k, n)),
        ):
            theirs = test.proportion_ci(method=method)
            assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_the_exact_interval_covers_at_least_as_often_as_promised() -> None:
    stats = pytest.importorskip("scipy.stats")
    for truth in (0.02, 0.3, 0.5):
        chances = stats.binom.pmf(np.arange(31), 30, truth)
        covers = [intervals.clopper_pearson(k, 30, level=0.9).contains(truth) for k in range(31)]
        assert float(chances @ np.array(covers, dtype=float)) >= 0.9


def test_student_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).normal(3, 2, 40)
    low, high = stats.t.interval(0.9, 39, values.mean(), stats.sem(values))
    ours = intervals.student_mean(values, level=0.9)
    assert (ours.low, ours.high) == pytest.approx((low, high))


def test_an_interval_over_days_is_wider_where_days_differ() -> None:
    generator = np.random.default_rng(2)
    days = np.repeat(np.arange(30), 50)
    values = generator.normal(size=1500) + generator.normal(size=30)[days]
    by_row = intervals.student_mean(values)
    by_day = intervals.student_mean(values, clusters=days)
    assert by_day.estimate == by_row.estimate
    assert by_day.width > 3 * by_row.width


def test_bernstein_is_wider_than_student_but_needs_no_normality() -> None:
    generator = np.random.default_rng(3)
    misses = 0
    for _ in range(300):
        rare = (generator.random(200) < 0.01).astype(float)
        misses += not intervals.bernstein_mean(rare, low=0, high=1, level=0.9).contains(0.01)
    assert misses <= 30


@pytest.mark.parametrize("clustered", [False, True])
def test_auc_intervals_cover_the_truth_about_as_often_as_promised(clustered: bool) -> None:
    generator = np.random.default_rng(4)
    days = np.repeat(np.arange(40), 5)
    covered = 0
    for _ in range(300):
        labels = generator.integers(0, 2, 200)
        shared = generator.normal(size=40)[days] if clustered else 0.0
        scores = labels * 1.4 + shared + generator.normal(size=200)
        noise = 2**0.5 if clustered else 1.0
        truth = 0.5 * (1 + _error_function(1.4 / noise / 2))
        clusters = days if clustered else None
        covered += intervals.auc_interval(labels, scores, clusters=clusters).contains(truth)
    assert covered >= 300 * 0.95 - 3 * (300 * 0.95 * 0.05) ** 0.5


def _error_function(x: float) -> float:
    from math import erf

    return erf(x)


def test_delong_variance_agrees_with_its_definition() -> None:
    generator = np.random.default_rng(5)
    labels = generator.integers(0, 2, 60)
    scores = (labels + generator.normal(size=60)).round(1)
    ones, zeros = scores[labels == 1], scores[labels == 0]
    wins = (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)
    variance = wins.mean(1).var(ddof=1) / ones.size + wins.mean(0).var(ddof=1) / zeros.size
    spread = intervals.spread_of_auc(labels, scores)
    assert spread.error**2 == pytest.approx(variance)
    assert spread.estimate == pytest.approx(auc(labels, scores))


def test_a_perfect_ranking_still_has_an_honest_interval() -> None:
    interval = intervals.auc_interval([0] * 20 + [1] * 8, range(28))
    assert interval.estimate == interval.high == 1.0
    assert interval.low == pytest.approx(intervals.clopper_pearson(8, 8).low)


def test_nonsense_is_refused() -> None:
    with pytest.raises(Invalid):
        intervals.wilson(3, 2)
    with pytest.raises(Invalid):
        intervals.wilson(1, 2, level=1.0)
    with pytest.raises(Invalid):
        intervals.bernstein_mean([0.5, 2.0], low=0, high=1)
    with pytest.raises(Invalid):
        intervals.student_mean([1.0])
