import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.statistics.distance import (
    Shift,
    g_test,
    jensen_shannon,
    population_shift,
    population_stability,
)

counts = st.lists(st.integers(0, 500), min_size=4, max_size=4).filter(lambda c: sum(c) > 0)
EVEN = np.full(12, 1 / 12)
ZIPF = 1 / np.arange(1, 41) / (1 / np.arange(1, 41)).sum()


def _tilted(strength: float) -> np.ndarray:
    return EVEN * (1 + strength * np.repeat([1, -1], 6))


@given(counts, counts)
def test_distances_are_symmetric_for_equal_sizes_and_zero_for_equal_samples(
    first: list[int], second: list[int]
) -> None:
    assert jensen_shannon(first, second) == pytest.approx(jensen_shannon(second, first))
    assert population_stability(first, second) == pytest.approx(population_stability(second, first))
    assert jensen_shannon(first, first) == 0
    assert population_stability(first, first) == 0
    assert 0 <= jensen_shannon(first, second) <= 1
    assert population_stability(first, second) >= 0


def test_jensen_shannon_agrees_with_scipy() -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    first, second = [10, 0, 30, 5], [4, 9, 20, 7]
    expected = distance.jensenshannon(first, second, base=2)
    assert jensen_shannon(first, second) == pytest.approx(expected)
    assert jensen_shannon([5, 0], [0, 5]) == pytest.approx(1.0)


def test_a_verdict_speaks_of_the_distance_that_was_asked_for() -> None:
    old, new = [100, 200, 300], [150, 220, 180]
    by_root = population_shift(old, new, measure="js", tolerance=0.05)
    assert by_root.distance == pytest.approx(jensen_shannon(old, new))
    assert by_root.threshold > by_root.expected > 0.05
    assert population_shift(old, new).distance == pytest.approx(population_stability(old, new))
    assert g_test(old, new).distance == pytest.approx(population_stability(old, new), rel=0.02)


def test_large_samples_give_the_textbook_index() -> None:
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
    expected = float(((q - p) * np.log(q / p)).sum())
    assert population_stability(p * 1e7, q * 1e7) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("judge", ["psi", "js", "g"])
@pytest.mark.parametrize(
    ("law", "n", "m"), [(EVEN, 10_000, 100), (ZIPF, 200, 200)], ids=["even", "sparse"]
)
def test_clean_columns_are_flagged_at_most_as_often_as_promised(
    judge: str, law: np.ndarray, n: int, m: int
) -> None:
    generator = np.random.default_rng(1)
    runs, flagged = 120, 0
    for _ in range(runs):
        old, new = generator.multinomial(n, law), generator.multinomial(m, law)
        flagged += _judge(judge, old, new, alpha=0.05).is_shifted
    assert flagged <= runs * 0.05 + 3 * math.sqrt(runs * 0.05 * 0.95)


def _judge(judge: str, old: np.ndarray, new: np.ndarray, **settings: float) -> Shift:
    if judge == "g":
        return g_test(old, new, **settings)
    return population_shift(old, new, measure="js" if judge == "js" else "psi", **settings)


def test_the_limit_falls_as_samples_grow() -> None:
    limits = [population_shift(EVEN * 12_000, EVEN * m).threshold for m in (120, 1200, 12_000)]
    assert limits[0] > 4 * limits[1] > 8 * limits[2]


@pytest.mark.parametrize("judge", ["psi", "js", "g"])
def test_a_real_move_is_seen_in_the_bins_that_moved(judge: str) -> None:
    moved = EVEN.copy()
    moved[[3, 8]] += [0.05, -0.05]
    seen = _judge(judge, EVEN * 60_000, moved * 6000)
    assert seen.is_shifted
    assert seen.p_value < 1e-6
    assert set(np.argsort(seen.contributions)[-2:].tolist()) == {3, 8}
    assert sum(seen.contributions) == pytest.approx(1.0)


@pytest.mark.parametrize("judge", ["psi", "g"])
def test_a_move_within_the_tolerance_is_let_pass_however_large_the_samples(judge: str) -> None:
    small, large = _tilted(0.1), _tilted(0.4)  # indices of about 0.01 and 0.17
    for law, is_shifted in ((small, False), (large, True)):
        seen = _judge(judge, EVEN * 1e7, law * 1e7, tolerance=0.05)
        assert seen.is_shifted is is_shifted
        assert seen.threshold == pytest.approx(0.05, rel=0.02)


def test_at_the_edge_of_the_tolerance_alarms_are_as_rare_as_promised() -> None:
    generator = np.random.default_rng(2)
    edge = _tilted(0.2195)  # an index of 0.049
    flagged = sum(
        population_shift(
            generator.multinomial(10_000, EVEN),
            generator.multinomial(1000, edge),
            tolerance=0.05,
            alpha=0.05,
        ).is_shifted
        for _ in range(120)
    )
    assert flagged <= 120 * 0.05 + 3 * math.sqrt(120 * 0.05 * 0.95)


def test_below_a_hundred_rows_it_declines_to_judge() -> None:
    seen = population_shift([500, 500], [99, 0])
    assert not seen.is_judged
    assert not seen.is_shifted
    assert not g_test([500, 500], [99, 0]).is_judged


@pytest.mark.parametrize("judge", ["psi", "js", "g"])
def test_a_design_effect_makes_the_limit_that_of_fewer_rows(judge: str) -> None:
    plain = _judge(judge, EVEN * 12_000, EVEN * 1200)
    effect = _judge(judge, EVEN * 120_000, EVEN * 12_000, design_effect=10)
    assert effect.threshold == pytest.approx(plain.threshold, rel=0.05)


def test_the_same_seed_gives_the_same_verdict() -> None:
    old, new = [50, 80, 70], [30, 90, 80]
    assert population_shift(old, new, seed=4) == population_shift(old, new, seed=4)


def test_samples_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(Invalid, match="3 bins and current 2"):
        population_shift([1, 2, 3], [1, 2])
    with pytest.raises(Invalid):
        g_test([1, -1], [1, 2])
    with pytest.raises(Invalid):
        jensen_shannon([0, 0], [1, 2])
    with pytest.raises(Invalid):
        population_shift([5, 5], [5, 5], design_effect=0.5)
