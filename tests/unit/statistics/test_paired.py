import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.statistics import paired
from trivet.statistics.budget import LookBudget
from trivet.statistics.metrics import auc


def _labels_and_scores(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n)
    shared = labels + generator.normal(size=n)
    return labels, shared + generator.normal(size=n), shared + 0.3 * generator.normal(size=n)


def test_a_better_candidate_has_a_positive_difference_in_every_metric() -> None:
    labels, worse, better = _labels_and_scores(1)
    by_auc = paired.compare_auc(labels, worse, better)
    by_loss = paired.compare_losses((labels - worse) ** 2, (labels - better) ** 2)
    by_correct = paired.compare_correct((worse > 0.5) == labels, (better > 0.5) == labels)
    by_metric = paired.compare_metric(
        lambda rows: (
            float(np.mean((labels - worse)[rows] ** 2)),
            float(np.mean((labels - better)[rows] ** 2)),
        ),
        300,
        higher_is_better=False,
        draws=300,
    )
    for seen in (by_auc, by_loss, by_correct, by_metric):
        assert seen.low <= seen.difference <= seen.high
        assert seen.difference > 0
    assert by_metric.difference == pytest.approx(by_loss.difference)
    assert by_auc.passes(0.05)
    assert by_loss.passes(0.001)


def test_swapping_the_models_mirrors_the_answer() -> None:
    labels, first, second = _labels_and_scores(2)
    there = paired.compare_auc(labels, first, second)
    back = paired.compare_auc(labels, second, first)
    assert back.difference == pytest.approx(-there.difference)
    assert back.low == pytest.approx(-there.high)
    assert back.p_value == pytest.approx(1 - there.p_value)


def test_the_delong_covariance_agrees_with_its_definition() -> None:
    labels, first, second = _labels_and_scores(3, 80)

    def wins(scores: np.ndarray) -> np.ndarray:
        ones, zeros = scores[labels == 1], scores[labels == 0]
        return (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)

    gap = wins(second) - wins(first)
    variance = gap.mean(1).var(ddof=1) / gap.shape[0] + gap.mean(0).var(ddof=1) / gap.shape[1]
    seen = paired.compare_auc(labels, first, second)
    assert seen.difference == pytest.approx(auc(labels, second) - auc(labels, first))
    assert (seen.high - seen.low) / 2 / 1.959963984540054 == pytest.approx(math.sqrt(variance))


def test_paired_losses_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    labels, first, second = _labels_and_scores(4)
    old, new = (labels - first) ** 2, (labels - second) ** 2
    theirs = stats.ttest_rel(old, new, alternative="greater")
    assert paired.compare_losses(old, new).p_value == pytest.approx(theirs.pvalue, rel=1e-6)


def test_clusters_of_one_row_change_next_to_nothing() -> None:
    labels, first, second = _labels_and_scores(5)
    each = np.arange(300)
    plain = paired.compare_auc(labels, first, second)
    clustered = paired.compare_auc(labels, first, second, clusters=each)
    assert clustered.high - clustered.low == pytest.approx(plain.high - plain.low, rel=0.02)


def test_days_that_sway_the_difference_widen_its_interval() -> None:
    generator = np.random.default_rng(6)
    days = np.repeat(np.arange(20), 30)
    old = generator.normal(size=600)
    new = old + generator.normal(size=20)[days] * 0.3 + generator.normal(size=600) * 0.3
    by_row = paired.compare_losses(old, new)
    by_day = paired.compare_losses(old, new, clusters=days)
    assert by_day.clusters == 20
    assert by_day.high - by_day.low > 2 * (by_row.high - by_row.low)


def test_a_margin_lets_an_equal_candidate_pass() -> None:
    generator = np.random.default_rng(7)
    old = generator.random(2000)
    new = np.clip(old + generator.normal(scale=0.05, size=2000), 0, 1)
    assert not paired.compare_losses(old, new).passes(0.001)
    assert paired.compare_losses(old, new, margin=0.01).passes(0.001)


def test_mcnemar_mid_p_agrees_with_its_definition() -> None:
    stats = pytest.importorskip("scipy.stats")
    old = np.array([1] * 9 + [0] * 21 + [1] * 50)
    new = np.array([0] * 9 + [1] * 21 + [1] * 50)
    expected = stats.binom.sf(21, 30, 0.5) + 0.5 * stats.binom.pmf(21, 30, 0.5)
    assert paired.compare_correct(old, new).p_value == pytest.approx(expected)


@given(
    cells=st.tuples(*[st.integers(min_value=0, max_value=60)] * 3).filter(lambda c: sum(c) > 0),
    margin=st.sampled_from([0.02, 0.1, 0.3]),
)
def test_tango_statistic_maximises_the_likelihood(
    cells: tuple[int, int, int], margin: float
) -> None:
    won, lost, same = cells
    n = sum(cells)
    p = paired.compare_correct(
        [0] * won + [1] * lost + [1] * same, [1] * won + [0] * lost + [1] * same, margin=margin
    ).p_value
    # The nuisance chance "only the champion is right" by brute force, gain fixed at -margin.
    rest = np.linspace(margin + 1e-9, (1 + margin) / 2 - 1e-9, 40_001)
    with np.errstate(divide="ignore"):
        chance = won * np.log(rest - margin) + lost * np.log(rest)
        chance = chance + same * np.log(np.maximum(1 - 2 * rest + margin, 1e-300))
    best = rest[int(np.argmax(chance))]
    variance = (2 * best - margin - margin**2) / n
    z = ((won - lost) / n + margin) / math.sqrt(max(variance, 1e-12))
    if 0 < abs(z) < 8 and variance > 1e-6:
        assert p == pytest.approx(0.5 * math.erfc(z / math.sqrt(2)), abs=2e-3)


def test_full_agreement_decides_nothing() -> None:
    seen = paired.compare_correct([1, 0, 1, 1], [1, 0, 1, 1])
    assert seen.p_value == 0.5
    assert seen.low < 0 < seen.high
    assert not seen.passes(0.4)


def test_the_interval_of_accuracy_covers_about_as_often_as_promised() -> None:
    generator = np.random.default_rng(8)
    covered = 0
    for _ in range(300):
        kind = generator.choice(3, size=120, p=[0.12, 0.07, 0.81])
        seen = paired.compare_correct(kind != 0, kind != 1)
        covered += seen.low <= 0.05 <= seen.high
    assert covered >= 300 * 0.95 - 3 * (300 * 0.95 * 0.05) ** 0.5


def test_a_gain_of_the_detectable_size_is_found_four_times_in_five() -> None:
    generator = np.random.default_rng(9)
    found = 0
    size = paired.compare_losses(generator.normal(size=400), generator.normal(size=400)).detectable
    for _ in range(300):
        old = generator.normal(size=400)
        found += paired.compare_losses(old, generator.normal(size=400) - size).passes(0.05)
    assert 0.7 <= found / 300 <= 0.9


def test_twenty_looks_promote_an_equal_candidate_at_most_one_time_in_twenty() -> None:
    generator = np.random.default_rng(10)
    promoted = 0
    histories = 400
    for history in range(histories):
        champion = generator.random(500) < 0.9
        budget = LookBudget(alpha=0.05)
        for look in range(20):
            alpha, budget = budget.spend(f"{history}-{look}")
            candidate = np.where(generator.random(500) < 0.2, generator.random(500) < 0.9, champion)
            if paired.compare_correct(champion, candidate).passes(alpha):
                promoted += 1
                break
    # The champion's luck on this holdout is shared by all looks, so the truth lies below 5 %.
    assert promoted / histories <= 0.05


@given(st.lists(st.floats(min_value=0, max_value=1), max_size=12))
def test_holm_is_never_bolder_than_the_raw_value_nor_shyer_than_bonferroni(
    p_values: list[float],
) -> None:
    adjusted = paired.holm(p_values)
    for raw, seen in zip(p_values, adjusted, strict=True):
        assert raw <= seen <= min(1.0, raw * len(p_values))
    assert [seen for _, seen in sorted(zip(p_values, adjusted, strict=True))] == sorted(adjusted)


def test_a_negative_margin_is_refused() -> None:
    with pytest.raises(Invalid, match="margin"):
        paired.compare_losses([1, 2], [1, 2], margin=-0.1)
