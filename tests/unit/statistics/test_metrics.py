import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.statistics import metrics

scores_with_both_classes = st.lists(
    st.tuples(st.booleans(), st.integers(min_value=0, max_value=9)), min_size=2, max_size=40
).filter(lambda rows: len({label for label, _ in rows}) == 2)


@given(scores_with_both_classes)
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[bool, int]]) -> None:
    wins = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for is_one, high in rows
        if is_one
        for is_other, low in rows
        if not is_other
    ]
    labels, scores = zip(*rows, strict=True)
    assert metrics.auc(labels, scores) == pytest.approx(np.mean(wins))


@given(scores_with_both_classes)
def test_auc_ignores_the_scale_of_scores_and_mirrors_with_their_sign(
    rows: list[tuple[bool, int]],
) -> None:
    labels = [label for label, _ in rows]
    scores = np.array([score for _, score in rows], dtype=float)
    area = metrics.auc(labels, scores)
    assert metrics.auc(labels, np.exp(scores)) == pytest.approx(area)
    assert metrics.auc(labels, -scores) == pytest.approx(1 - area)


def test_point_metrics_agree_with_scikit_learn() -> None:
    reference = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 2, 700)
    chance = np.clip(0.3 * labels + generator.random(700) * 0.7, 0, 1).round(2)
    assert metrics.auc(labels, chance) == pytest.approx(reference.roc_auc_score(labels, chance))
    assert metrics.brier_score(labels, chance) == pytest.approx(
        reference.brier_score_loss(labels, chance)
    )
    assert metrics.log_loss(labels, chance) == pytest.approx(reference.log_loss(labels, chance))
    truth, guess = generator.normal(size=700), generator.normal(size=700)
    assert metrics.r2(truth, guess) == pytest.approx(reference.r2_score(truth, guess))
    assert metrics.mean_absolute_error(truth, guess) == pytest.approx(
        reference.mean_absolute_error(truth, guess)
    )
    assert metrics.root_mean_squared_error(truth, guess) == pytest.approx(
        reference.root_mean_squared_error(truth, guess)
    )


def test_a_calibrated_model_has_excess_brier_near_zero_on_easy_and_on_hard_days() -> None:
    generator = np.random.default_rng(4)
    for low, high in ((0.0, 0.1), (0.4, 0.6)):
        chance = generator.uniform(low, high, 40_000)
        labels = generator.random(40_000) < chance
        losses = metrics.excess_brier_losses(labels, chance)
        assert abs(losses.mean()) < 4 * losses.std() / 200
        assert losses.min() >= -1 / 8
        assert losses.max() <= 1


def test_calibration_error_sees_overconfidence_and_is_small_without_it() -> None:
    generator = np.random.default_rng(5)
    chance = generator.beta(2, 2, 20_000)
    labels = generator.random(20_000) < chance
    stretched = np.clip(0.5 + 1.5 * (chance - 0.5), 0, 1)
    assert metrics.calibration_error(labels, chance) < 0.015
    assert metrics.calibration_error(labels, stretched) > 0.05


def test_calibration_bins_hold_all_rows_and_equal_predictions_stay_together() -> None:
    labels = [0, 1, 0, 1, 1, 0, 1, 1]
    table = metrics.calibration_table(labels, [0.2] * 6 + [0.9] * 2, bins=4)
    assert [part.n for part in table] == [6, 2]
    assert table[0].event_rate == pytest.approx(0.5)
    assert table[1].mean_score == pytest.approx(0.9)


def test_calibration_does_not_depend_on_the_order_of_rows() -> None:
    generator = np.random.default_rng(6)
    chance = generator.random(500).round(1)
    labels = generator.random(500) < chance
    order = generator.permutation(500)
    there = metrics.calibration_table(labels, chance)
    back = metrics.calibration_table(labels[order], chance[order])
    assert [part.n for part in there] == [part.n for part in back]
    assert metrics.calibration_error(labels, chance) == pytest.approx(
        metrics.calibration_error(labels[order], chance[order])
    )


def test_log_losses_stay_within_the_bound_that_the_floor_sets() -> None:
    losses = metrics.log_losses([1, 0], [0.0, 1.0], floor=1e-3)
    assert losses == pytest.approx([-np.log(1e-3)] * 2)


def test_regression_losses_are_clipped_at_what_matters() -> None:
    assert metrics.absolute_losses([0, 0], [1, 9], most=5).tolist() == [1.0, 5.0]


def test_what_a_metric_cannot_say_is_an_error_with_a_code() -> None:
    with pytest.raises(Invalid) as single:
        metrics.auc([1, 1], [0.2, 0.3])
    assert single.value.code == "single-class"
    with pytest.raises(Invalid) as constant:
        metrics.r2([2.0, 2.0], [1.0, 2.0])
    assert constant.value.code == "constant-target"
    with pytest.raises(Invalid, match="outside 0 to 1"):
        metrics.brier_score([0, 1], [0.5, 1.5])
