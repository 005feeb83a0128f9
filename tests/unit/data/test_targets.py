"""A target column is understood, or refused with the reason and the next step."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from trivet.core.errors import Invalid
from trivet.data.targets import inspect_target


def inspect(values: list[Any]) -> Any:
    return inspect_target(pl.DataFrame({"churned": values}, strict=False), "churned")


def refusal(values: list[Any]) -> Invalid:
    with pytest.raises(Invalid) as caught:
        inspect(values)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([True] * 40 + [False] * 60, ("false", "true")),
        ([1] * 80 + [0] * 20, ("0", "1")),
        ([1.0] * 80 + [0.0] * 20, ("0", "1")),
        (["yes"] * 80 + ["no"] * 20, ("no", "yes")),
        (["Yes"] * 20 + ["No"] * 80, ("No", "Yes")),
        (["good"] * 80 + ["bad"] * 20, ("good", "bad")),  # the rarer value is the positive one
        ([1] * 80 + [2] * 20, ("2", "1")),  # unless a value says so itself
    ],
)
def test_two_values_make_a_binary_task(values: list[Any], classes: tuple[str, str]) -> None:
    target = inspect(values)
    assert target.task == "binary"
    assert target.classes == classes
    assert sum(target.shares) == pytest.approx(1)


def test_a_few_values_make_classes_and_many_numbers_a_regression() -> None:
    assert inspect(["a", "b", "c"] * 20).task == "multiclass"
    assert inspect([1, 2, 3] * 20).classes == ("1", "2", "3")
    assert inspect([row * row for row in range(100)]).task == "regression"
    assert inspect([row / 7 for row in range(100)]).task == "regression"
    assert inspect([row % 11 for row in range(110)]).task == "regression"


def test_rows_without_a_target_do_not_count() -> None:
    target = inspect([None] * 30 + [1.0, 0.0] * 50 + [float("nan")] * 5)
    assert (target.task, target.rows) == ("binary", 100)


def test_a_missing_target_is_answered_with_near_names() -> None:
    frame = pl.DataFrame({"customer": [1], "Churned": [1], "plan": [1]})
    with pytest.raises(Invalid, match="no column 'churn'") as caught:
        inspect_target(frame, "churn")
    assert caught.value.code == "no-target"
    assert "'Churned'" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (["yes"] * 100, "constant-target"),
        (["yes", "no"] * 5, "too-few-rows"),
        ([None] * 100, "no-labels"),
        ([float("nan")] * 100, "no-labels"),
        ([f"user-{row}" for row in range(100)], "target-is-key"),
        (list(range(1000, 1100)), "target-is-key"),
        (["yes"] * 97 + ["no"] * 3, "rare-class"),
        ([f"class-{row % 150}" for row in range(1500)], "too-many-classes"),
        ([date(2020, 1, 1), date(2021, 1, 1)] * 50, "bad-target"),
    ],
)
def test_a_target_that_cannot_be_learnt_is_refused(values: list[Any], code: str) -> None:
    assert refusal(values).code == code


def test_the_refusal_counts_the_rows() -> None:
    assert "10 rows" in str(refusal([0, 1] * 5))
