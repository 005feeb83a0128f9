from typing import Any

import numpy as np
import pytest

from trivet.core.errors import Invalid
from trivet.models.answers import check_answers
from trivet.models.evaluation import compare
from trivet.models.metrics import METRICS

THIRDS = [[1 / 3, 1 / 3, 1 / 3]] * 4


@pytest.mark.parametrize(
    ("labels", "answers", "task", "code", "word"),
    [
        ([0, 1], [0.5, np.nan], "binary", "no-answer", "predictions"),
        ([0, np.nan], [0.5, 0.5], "binary", "no-answer", "labels"),
        ([0, 1], [0.5, np.inf], "regression", "no-answer", "row 1"),
        ([0, 1], [0.5, 1e200], "regression", "no-answer", "row 1"),
        ([0, 1], [0.5, 1.2], "binary", "no-probability", "1.2"),
        ([0, 1], [-3.0, 0.2], "binary", "no-probability", "row 0"),
        ([1, 2], [0.5, 0.5], "binary", "unknown-class", "0 to 1"),
        ([0, 1, 2, 3], THIRDS, "multiclass", "unknown-class", "0 to 2"),
        ([0, 1, 2, -1], THIRDS, "multiclass", "unknown-class", "-1"),
        ([0, 1, 2, 1.7], THIRDS, "multiclass", "unknown-class", "1.7"),
        ([0, 1], [[1, 1, 1], [0.2, 0.3, 0.5]], "multiclass", "no-probability", "sums"),
        (["a", "b"], [0.5, 0.5], "binary", "no-numbers", "labels"),
        ([0], None, "binary", "no-answer", "predictions"),
        ([0, 1], [0.5, 0.5], "binry", "unknown-task", "binary"),
    ],
)
def test_what_no_metric_could_judge_is_refused_and_named(
    labels: Any, answers: Any, task: Any, code: str, word: str
) -> None:
    with pytest.raises(Invalid, match=word) as caught:
        check_answers(labels, answers, task)
    assert caught.value.code == code
    assert caught.value.hint


def test_scores_in_place_of_probabilities_are_told_how_to_become_them() -> None:
    with pytest.raises(Invalid) as caught:
        check_answers([0, 1], [-4.0, 2.5], "binary")
    assert "predict_proba" in (caught.value.hint or "")


def test_probabilities_of_single_precision_may_err_in_their_last_digits() -> None:
    _, answers = check_answers([0, 1], np.array([-1e-7, 1 + 1e-7], dtype=np.float32), "binary")
    assert answers.min() == 0
    assert answers.max() == 1
    rows = np.array([[0.2, 0.3, 0.5000004], [0.1, 0.1, 0.8]], dtype=np.float32)
    check_answers([0, 2], rows, "multiclass")


def test_rows_that_sum_to_a_little_more_than_one_gain_nothing_by_it() -> None:
    random = np.random.default_rng(0)
    honest = random.dirichlet([2, 2, 2], 300)
    labels = np.array([random.choice(3, p=row) for row in honest]).astype(float)
    _, swollen = check_answers(labels, honest * 1.0005, "multiclass")
    found = compare(METRICS["log-loss"], labels, honest, swollen)
    assert abs(found.difference) < 1e-12
    assert not found.passes(0.4)


def binary(rows: int, seed: int, digits: int = 9) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    score = random.normal(size=rows)
    labels = (random.random(rows) < 1 / (1 + np.exp(-score))).astype(float)
    old, new = (1 / (1 + np.exp(-score - random.normal(size=rows))) for _ in range(2))
    return labels, old.round(digits)[:, None], new.round(digits)[:, None]


@pytest.mark.parametrize("digits", [1, 9])
def test_a_table_that_is_repeated_decides_nothing_without_groups(digits: int) -> None:
    columns = [np.repeat(part, 5, axis=0) for part in binary(300, 1, digits)]
    found = compare(METRICS["auc"], *columns)
    assert "each row occurs 5 times" in found.problem
    assert not found.passes(0.9)
    grouped = compare(METRICS["auc"], *columns, groups=np.repeat(np.arange(300), 5))
    assert not grouped.problem


def test_some_copies_are_warned_of_and_rounded_answers_are_not() -> None:
    columns = [np.concatenate([part, part[:200]]) for part in binary(800, 2)]
    assert "200 of 1000 rows repeat" in compare(METRICS["auc"], *columns).warning
    rounded = compare(METRICS["auc"], *binary(1000, 3, 1))
    assert not rounded.problem
    assert not rounded.warning
