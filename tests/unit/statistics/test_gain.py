"""False promotions where Student's t and DeLong's normal law are too bold, and what it costs."""

from collections.abc import Callable

import numpy as np
import pytest

from trivet.statistics.gain import Gain, gain_of_auc, gain_of_mean
from trivet.statistics.variation import design_df

Rows = np.ndarray
LEVELS = [0.05 / (k * (k + 1)) for k in range(1, 21)]


def promoted(history: Callable[[np.random.Generator], list[Gain]], repeats: int) -> float:
    """Share of histories of up to twenty looks in which one passes."""
    generator = np.random.default_rng(0)
    passed = 0
    for _ in range(repeats):
        found = zip(history(generator), LEVELS, strict=False)
        passed += any(gain.tail(0.0) <= level for gain, level in found)
    return passed / repeats


def test_a_rare_event_that_was_not_drawn_promotes_nobody() -> None:
    """Forecasts that are too low win on every row without an event: Student passed 44 %."""

    def history(generator: np.random.Generator) -> list[Gain]:
        truth = np.clip(0.001 * np.exp(generator.normal(size=2000) - 0.5), 0, 1)
        event = generator.random(2000) < truth
        gains = []
        for _ in range(20):
            said = truth * generator.uniform(0.3, 0.9)
            cost = np.maximum((1 - said) ** 2 - (1 - truth) ** 2, 0)
            unseen = float(np.sqrt((truth * cost**2).sum() / truth.sum()))
            gains.append(gain_of_mean((event - truth) ** 2 - (event - said) ** 2, unseen=unseen))
        return gains

    assert promoted(history, 200) <= 0.07


def test_constant_forecasts_on_few_rows_are_not_promoted_for_want_of_an_event() -> None:
    """Ten rows, events of one in ten: a third of samples have none, and Student passed them."""

    def history(generator: np.random.Generator) -> list[Gain]:
        event = generator.random(10) < 0.1
        return [
            gain_of_mean((event - 0.1) ** 2 - (event - said) ** 2, unseen=0.2 * (0.1 - said))
            for said in generator.uniform(0.02, 0.09, size=20)
        ]

    assert promoted(history, 300) <= 0.05


def test_a_small_gain_and_a_rare_large_loss_do_not_add_up_to_a_promotion() -> None:
    """Ten of 2,000 rows lose what all others gain: Student passed 30 %."""

    def history(generator: np.random.Generator) -> list[Gain]:
        rare = generator.random((20, 2000)) < 0.005
        gains = np.where(rare, -199.0, 1.0) + 0.5 * generator.normal(size=(20, 2000))
        return [gain_of_mean(row) for row in gains]

    assert promoted(history, 100) <= 0.06


@pytest.mark.parametrize(("rows", "events"), [(50, 2), (200, 10), (20, 10)])
def test_noise_beats_a_constant_answer_by_area_as_seldom_as_promised(
    rows: int, events: int
) -> None:
    """With two events of fifty the normal law passed 83 %."""
    labels = (np.arange(rows) < events).astype(float)

    def history(generator: np.random.Generator) -> list[Gain]:
        flat = np.full(rows, 0.5)
        return [gain_of_auc(labels, flat, generator.random(rows)) for _ in range(20)]

    assert promoted(history, 150) <= 0.08


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_groups_of_unlike_size_are_promoted_as_seldom_as_promised(power: float) -> None:
    """Sizes like 1 / rank: groups - 1 degrees of freedom passed up to 35 %."""
    sizes = np.maximum(1, np.round(600 / np.arange(1, 31) ** power)).astype(int)
    groups = np.repeat(np.arange(30), sizes)

    def history(generator: np.random.Generator) -> list[Gain]:
        sway = generator.normal(size=(20, 30))[:, groups]
        rows = 0.5 * sway + generator.normal(size=(20, groups.size))
        return [gain_of_mean(row, groups) for row in rows]

    assert promoted(history, 60) <= 0.1


def test_two_groups_or_one_that_has_nearly_all_rows_decide_nothing() -> None:
    gains = np.random.default_rng(1).normal(5, 1, size=1000)
    few = gain_of_mean(gains, np.arange(1000) % 3)
    unlike = gain_of_mean(gains, np.minimum(np.arange(1000), 20))
    assert "3 groups" in few.problem
    assert "worth 1.0 of equal size" in unlike.problem
    assert few.tail(0.0) == unlike.tail(0.0) == 1.0


def test_degrees_of_freedom_of_groups_are_those_of_the_matrix_they_stand_for() -> None:
    shares = np.random.default_rng(2).dirichlet(np.ones(9))
    expected = []
    for variances in (shares, shares**2):
        law = np.diag(variances) - np.outer(variances, shares) - np.outer(shares, variances)
        law += variances.sum() * np.outer(shares, shares)
        scale = 1 / np.sqrt(1 - shares)
        law = law * np.outer(scale, scale)
        expected.append(np.trace(law) ** 2 / np.trace(law @ law))
    assert design_df(shares) == pytest.approx(min(expected))
    assert design_df(np.full(12, 1 / 12)) == pytest.approx(11)


def test_ordinary_rows_lose_little_power() -> None:
    """Beside Student's t on rows that suit it: at most a few in a hundred are lost."""
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(3)
    ours = theirs = 0
    for _ in range(300):
        score = generator.normal(size=400) - 1
        event = generator.random(400) < 1 / (1 + np.exp(-score))
        old = 1 / (1 + np.exp(-score - 0.9 * generator.normal(size=400)))
        new = 1 / (1 + np.exp(-score))
        gains = (event - old) ** 2 - (event - new) ** 2
        ours += gain_of_mean(gains).tail(0.0) <= 0.025
        theirs += stats.ttest_1samp(gains, 0, alternative="greater").pvalue <= 0.025
    assert theirs >= 150
    assert ours >= 0.93 * theirs
