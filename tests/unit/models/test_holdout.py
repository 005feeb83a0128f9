from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from trivet.core.errors import Invalid
from trivet.models.facts import Input, Signature
from trivet.models.holdout import DAY_US, hold_out

SIGNATURE = Signature(
    inputs=(Input(name="weight", type="number"),),
    task="binary",
    target="late",
    classes=("false", "true"),
)


def table(**more: Any) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "weight": [1.0, 2.0, 3.0],
            "late": [True, None, False],
            "sent": [datetime(1970, 1, day, 12) for day in (1, 2, 3)],  # noqa: DTZ001  # as a file has them
            "depot": ["east", "west", "east"],
            **more,
        }
    )


def test_rows_without_an_answer_are_passed_over() -> None:
    held = hold_out(table(), SIGNATURE)
    assert held.labels.tolist() == [1.0, 0.0]
    assert held.size == 2
    assert (held.groups, held.times, held.span_us) == (None, None, (None, None))


def test_rows_of_one_day_belong_together() -> None:
    held = hold_out(table(), SIGNATURE, time="sent")
    assert held.groups is not None
    assert held.groups.tolist() == [0, 2]
    assert held.span_us == (DAY_US // 2, 2 * DAY_US + DAY_US // 2)


def test_a_group_of_its_own_goes_before_days() -> None:
    held = hold_out(table(), SIGNATURE, time="sent", group="depot")
    assert held.groups is not None
    assert held.groups.tolist() == ["east", "east"]
    assert held.days is not None


def test_dates_are_times_too() -> None:
    days = [date(1970, 1, day) for day in (1, 2, 3)]
    held = hold_out(table(day=days), SIGNATURE, time="day")
    assert held.days is not None
    assert held.days.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("more", "keywords", "code"),
    [
        ({"late": [None, None, None]}, {}, "too-few-rows"),
        ({}, {"time": "send"}, "absent-field"),
        ({}, {"group": "store"}, "absent-field"),
        ({}, {"time": "depot"}, "wrong-type"),
        ({"depot": [None, "west", "east"]}, {"group": "depot"}, "missing-value"),
    ],
)
def test_rows_that_cannot_be_held_out_are_explained(
    more: dict[str, Any], keywords: dict[str, str], code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        hold_out(table(**more).with_columns(pl.col("late").cast(pl.Boolean)), SIGNATURE, **keywords)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_table_without_the_target_is_refused() -> None:
    with pytest.raises(Invalid, match="late"):
        hold_out(table().drop("late"), SIGNATURE)


def test_rows_that_the_contract_refuses_are_left_out_and_counted() -> None:
    strict = Signature(
        inputs=(
            Input(name="weight", type="number", missing="reject"),
            Input(name="depot", type="category", categories=("east",)),
        ),
        task="binary",
        target="late",
        classes=("false", "true"),
    )
    rows = pl.DataFrame(
        {
            "weight": [1.0, None, float("nan"), 4.0, 5.0],
            "depot": ["east", "east", "east", "west", None],
            "late": [True, True, True, False, False],
        }
    )
    held = hold_out(rows, strict)
    assert held.rows["weight"].to_list() == [1.0, 5.0]
    assert held.refused == 3
    with pytest.raises(Invalid, match="takes"):
        hold_out(rows[1:4], strict)
