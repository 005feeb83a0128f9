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
    old, new = (labels - worse) ** 2, (labels - better) ** 2
    by_metric = paired.compare_influences(
        (float(old.mean()), old - old.mean()),
        (float(new.mean()), new - new.mean()),
        higher_is_better=False,
    )
    for seen in (by_auc, by_loss, by_correct, by_metric):
        assert seen.low <= seen.difference <= seen.high
        assert seen.difference > 0
    assert by_metric.difference == pytest.approx(by_loss.difference)
    assert by_metric.p_value == pytest.approx(by_loss.p_value)
    assert by_auc.passes(0.05)
    assert by_loss.passes(0.001)


def test_swapping_the_models_mirrors_the_answer() -> None:
    labels, first, second = _labels_and_scores(2)
    there = paired.compare_auc(labels, first, second)
    back = paired.compare_auc(labels, second, first)
    assert back.difference == pytest.approx(-there.difference)
    assert back.low == pytest.approx(-there.high)
    # Each side has the skew that would flatter it taken out: together they claim a little less.
    assert 1 <= back.p_value + there.p_value < 1.01


def test_the_delong_covariance_agrees_with_its_definition() -> None:
    labels, first, second = _labels_and_scores(3, 80)

    def wins(scores: np.ndarray) -> np.ndarray:
        ones, zeros = scores[labels == 1], scores[labels == 0]
        return (ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros)

    gap = wins(second) - wins(first)
    variance = gap.mean(1).var(ddof=1) / gap.shape[0] + gap.mean(0).var(ddof=1) / gap.shape[1]
    seen = paired.compare_auc(labels, first, second)
    assert seen.difference == pytest.approx(auc(labels, second) - auc(labels, first))
    assert seen.error == pytest.approx(math.sqrt(variance))


def test_paired_losses_are_never_bolder_than_student_and_close_to_him_on_ordinary_rows() -> None:
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(4)
    for gain in (0.0, 0.1, 0.2):
        old, new = generator.normal(size=500), generator.normal(size=500) - gain
        theirs = stats.ttest_rel(old, new, alternative="greater").pvalue
        ours = paired.compare_losses(old, new).p_value
        assert theirs <= ours <= 1.5 * theirs + 0.01


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


@pytest.mark.parametrize("name", ["auc", "loss", "correct", "influences"])
def test_the_interval_excludes_nothing_that_the_p_value_does_not(name: str) -> None:
    generator = np.random.default_rng(11)
    for _ in range(60):
        labels = (generator.random(150) < 0.3).astype(float)
        old = labels + generator.normal(size=150)
        new = labels + generator.normal(size=150) * generator.uniform(0.3, 1)
        seen = {
            "auc": lambda o, n, y: paired.compare_auc(y, o, n),
            "loss": lambda o, n, y: paired.compare_losses((y - o) ** 2, (y - n) ** 2),
            "correct": lambda o, n, y: paired.compare_correct(
                (o > 0.5) == y, (n > 0.5) == y, exact=True
            ),
            "influences": lambda o, n, y: paired.compare_influences(
                (float(o.mean()), o - o.mean()),
                (float(n.mean()), n - n.mean()),
                higher_is_better=True,
            ),
        }[name](old, new, labels)
        assert (seen.low > 0) == (seen.p_value < 0.025)


def test_what_a_comparison_says_it_would_find_is_found_in_four_of_five_cases() -> None:
    generator = np.random.default_rng(12)
    alpha, n = 0.05 / 30, 12
    sizes = [
        paired.compare_losses(generator.normal(size=n), np.zeros(n)).detectable_at(alpha)
        for _ in range(200)
    ]
    size = float(np.median([found for found in sizes if math.isfinite(found)]))
    found = [
        paired.compare_losses(generator.normal(size, 1, size=n), np.zeros(n)).passes(alpha)
        for _ in range(400)
    ]
    assert 0.6 <= np.mean(found) <= 0.95


@pytest.mark.parametrize(("n", "differing"), [(200, 0.08), (2000, 0.08), (50, 0.2)])
def test_the_accuracy_said_to_be_found_is_found_in_four_of_five_cases(
    n: int, differing: float
) -> None:
    generator = np.random.default_rng(13)
    alpha = 0.05 / 2
    kind = generator.choice(4, size=n, p=[differing / 2, differing / 2, 0.4, 0.6 - differing])
    champion = (kind != 0) & (kind != 2)
    size = paired.compare_correct(champion, champion ^ (kind < 2), exact=True).detectable_at(alpha)
    assert 0 < size < 1
    share = max(size, ((kind < 2).sum() + 1) / n)
    hits = 0
    for _ in range(400):
        parts = [(share + size) / 2, (share - size) / 2, 1 - share]
        drawn = generator.choice(3, size=n, p=parts)
        hits += paired.compare_correct(drawn != 0, drawn != 1, exact=True).passes(alpha)
    assert 0.7 <= hits / 400 <= 0.92


def test_no_gain_is_promised_that_a_perfect_candidate_does_not_have() -> None:
    champion = np.ones(50)
    champion[:5] = 0
    seen = paired.compare_correct(champion, np.ones(50), exact=True)
    assert seen.p_value == pytest.approx(0.5**5)
    assert math.isinf(seen.detectable_at(0.025))
    assert "too few" in seen.detectable_text(0.025)
    assert seen.detectable_at(0.2) <= 0.1


def test_a_gain_that_never_varies_decides_nothing() -> None:
    seen = paired.compare_losses(np.full(40, 0.75), np.full(40, 0.5))
    assert seen.problem
    assert not seen.passes(0.5)
    assert seen.low <= 0
    assert math.isinf(seen.detectable)


def test_equal_answers_are_no_worse_and_no_better() -> None:
    losses = np.random.default_rng(14).random(40)
    assert paired.compare_losses(losses, losses, margin=0.01).passes(0.001)
    assert not paired.compare_losses(losses, losses).passes(0.5)
