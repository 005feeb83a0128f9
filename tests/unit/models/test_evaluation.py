import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import log_loss, roc_auc_score

from trivet.core.errors import Invalid
from trivet.models.evaluation import calibration_interval, compare, evaluate
from trivet.models.metrics import METRICS, metric_named

Values = NDArray[np.float64]


def chances(
    rows: int, seed: int, *, noise: float = 0.0, tilt: float = 1.0
) -> tuple[Values, Values]:
    """Labels and calibrated chances (n, 1); noise spoils the order, tilt the calibration."""
    random = np.random.default_rng(seed)
    score = random.normal(size=rows)
    labels = (random.random(rows) < 1 / (1 + np.exp(-score))).astype(float)
    seen = tilt * (score + noise * random.normal(size=rows))
    return labels, (1 / (1 + np.exp(-seen)))[:, None]


def test_figures_agree_with_an_independent_library() -> None:
    labels, answers = chances(2000, 0)
    found = evaluate(labels, answers, "binary").metrics
    assert found["auc"].value == pytest.approx(roc_auc_score(labels, answers))
    assert found["log-loss"].value == pytest.approx(log_loss(labels, answers))
    assert found["brier"].value == pytest.approx(float(np.square(labels - answers[:, 0]).mean()))
    assert found["accuracy"].value == pytest.approx(
        float(((answers[:, 0] >= 0.5) == labels).mean())
    )
    assert all(item.low <= item.value <= item.high for item in found.values())
    assert all(item.rows == 2000 for item in found.values())


def test_multiclass_figures_agree_with_an_independent_library() -> None:
    random = np.random.default_rng(0)
    answers = random.dirichlet([1, 1, 1], 500)
    labels = np.array([random.choice(3, p=row) for row in answers]).astype(float)
    found = evaluate(labels, answers, "multiclass")
    assert found.metrics["log-loss"].value == pytest.approx(log_loss(labels, answers))
    assert found.metrics["accuracy"].value == float((answers.argmax(axis=1) == labels).mean())
    assert "auc" not in found.metrics
    assert sum(part.n for part in found.calibration) == 500


def test_regression_figures_are_those_of_the_textbook() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=400)
    answers = truth + random.normal(scale=0.5, size=400)
    found = evaluate(truth, answers, "regression").metrics
    error = truth - answers
    assert found["mean-absolute-error"].value == pytest.approx(float(np.abs(error).mean()))
    assert found["root-mean-squared-error"].value == pytest.approx(
        float(np.sqrt((error**2).mean()))
    )
    assert found["r2"].value == pytest.approx(1 - float((error**2).sum() / truth.var() / 400))
    assert evaluate(truth, answers, "regression").calibration == ()


def test_rows_of_one_day_count_as_one_piece_of_evidence() -> None:
    labels, answers = chances(1000, 1)
    # The same thousand rows, ten times over, are no more evidence than they were.
    repeated = np.tile(labels, 10), np.tile(answers, (10, 1))
    groups = np.tile(np.arange(1000), 10)
    naive = evaluate(*repeated, "binary").metrics["brier"]
    honest = evaluate(*repeated, "binary", groups=groups)
    once = evaluate(labels, answers, "binary").metrics["brier"]
    assert honest.groups == 1000
    width = honest.metrics["brier"].high - honest.metrics["brier"].low
    assert width == pytest.approx(once.high - once.low, rel=0.02)
    assert width > 2.5 * (naive.high - naive.low)


def test_slices_carry_their_own_rows_and_figures() -> None:
    labels, answers = chances(3000, 2)
    depot = np.array([["east", "west", None][at % 3] for at in range(3000)], dtype=object)
    parts = {
        part.value: part
        for part in evaluate(labels, answers, "binary", slices={"depot": depot}).slices
    }
    assert set(parts) == {"east", "west", "(missing)"}
    assert sum(part.rows for part in parts.values()) == 3000
    east = depot == "east"
    assert parts["east"].metrics["auc"].value == pytest.approx(
        roc_auc_score(labels[east], answers[east])
    )


def test_a_slice_of_one_class_has_no_roc_curve_and_keeps_its_other_figures() -> None:
    labels, answers = chances(600, 3)
    sliced = np.where(labels == 1, "late", "early").astype(object)
    (first, *_) = evaluate(labels, answers, "binary", slices={"truth": sliced}).slices
    assert "auc" not in first.metrics
    assert "brier" in first.metrics


@pytest.mark.parametrize("name", list(METRICS))
def test_the_better_model_is_shown_better_whatever_the_metric(name: str) -> None:
    metric = METRICS[name]
    task = metric.tasks[0]
    if task == "binary":
        labels, good = chances(4000, 4)
        _, bad = chances(4000, 4, noise=2.0)
    else:
        random = np.random.default_rng(0)
        labels = random.normal(size=1500)
        good = labels[:, None] + random.normal(scale=0.5, size=(1500, 1))
        bad = labels[:, None] + random.normal(scale=1.0, size=(1500, 1))
    better = compare(metric, labels, bad, good)
    worse = compare(metric, labels, good, bad)
    assert better.difference > 0 > worse.difference
    assert better.passes(0.01)
    assert not worse.passes(0.5)
    assert better.detectable > 0


def test_an_equal_model_passes_with_a_margin_and_not_without() -> None:
    labels, answers = chances(4000, 5)
    metric = metric_named("auc", "binary")
    other = np.clip(answers + np.random.default_rng(0).normal(scale=1e-4, size=answers.shape), 0, 1)
    assert compare(metric, labels, answers, other, margin=0.02).passes(0.025)
    assert not compare(metric, labels, answers, other).passes(0.025)


def test_calibration_is_near_nothing_for_honest_chances_and_found_for_bold_ones() -> None:
    honest = calibration_interval(*chances(5000, 6), None)
    bold = calibration_interval(*chances(5000, 6, tilt=3.0), None)
    assert honest.estimate < 0.02
    assert bold.low > 0.08
    assert honest.low <= honest.estimate <= honest.high
    assert bold.low <= bold.estimate <= bold.high


def test_an_unknown_metric_is_answered_with_those_of_the_task() -> None:
    with pytest.raises(Invalid) as caught:
        metric_named("auc", "regression")
    assert "mean-absolute-error" in caught.value.hint


@pytest.mark.parametrize(
    ("labels", "answers", "task"),
    [
        ([], [], "binary"),
        ([1.0], [[0.5], [0.5]], "binary"),
        ([1.0], [[0.5, 0.5]], "binary"),
        ([1.0], [[0.5]], "multiclass"),
        ([[1.0]], [[0.5]], "regression"),
    ],
)
def test_answers_that_do_not_fit_their_labels_are_refused(
    labels: list[float], answers: list[list[float]], task: str
) -> None:
    with pytest.raises(Invalid):
        evaluate(labels, np.array(answers), task)  # pyright: ignore[reportArgumentType]


def test_a_single_group_says_nothing_about_variation() -> None:
    labels, answers = chances(100, 7)
    with pytest.raises(Invalid) as caught:
        evaluate(labels, answers, "binary", groups=np.zeros(100))
    assert caught.value.code == "too-few-rows"


@pytest.mark.parametrize("name", ["mean-absolute-error", "root-mean-squared-error", "r2"])
def test_few_rows_promote_equal_regressions_as_seldom_as_promised(name: str) -> None:
    """With ten rows the percentile bootstrap passed 12 % of them within six looks."""
    random = np.random.default_rng(8)
    promoted = 0
    for _ in range(150):
        labels, champion = random.normal(size=10), 0.5 * random.normal(size=(10, 1))
        passed = [
            compare(METRICS[name], labels, champion, 0.5 * random.normal(size=(10, 1))).passes(
                0.05 / (look * (look + 1))
            )
            for look in range(1, 7)
        ]
        promoted += any(passed)
    assert promoted / 150 <= 0.08


@pytest.mark.parametrize("name", ["root-mean-squared-error", "r2"])
def test_a_plainly_better_regression_passes_however_late_the_look(name: str) -> None:
    random = np.random.default_rng(9)
    labels = random.normal(size=500)
    champion = labels[:, None] + random.normal(scale=0.8, size=(500, 1))
    candidate = labels[:, None] + random.normal(scale=0.4, size=(500, 1))
    found = compare(METRICS[name], labels, champion, candidate)
    assert found.passes(0.05 / (1000 * 1001))
    assert 0 < found.detectable_at(0.05 / (1000 * 1001)) < found.difference
    assert compare(METRICS[name], labels, champion, labels[:, None]).passes(1e-9)
