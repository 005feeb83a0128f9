import json
import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, distribution
from itertools import pairwise

import polars as pl
import pytest

from trivet.demo.features import FEATURES
from trivet.demo.flights import PACKAGE
from trivet.demo.year import END, START, Question, Year

PER_DAY = 7


@pytest.fixture(scope="module")
def year() -> Year:
    try:
        distribution(PACKAGE)
    except PackageNotFoundError:
        pytest.skip(f"{PACKAGE} is not installed")
    return Year(per_day=PER_DAY)


@pytest.fixture(scope="module")
def windows(year: Year) -> list[tuple[datetime, list[Question]]]:
    return list(year.windows())


Windows = list[tuple[datetime, list[Question]]]


def test_each_flight_that_is_asked_about_is_asked_once(year: Year, windows: Windows) -> None:
    asked = Counter(question.flight_id for _, questions in windows for question in questions)
    assert set(asked.values()) == {1}
    assert set(asked) == set(year.asked["flight_id"].cast(pl.String))


def test_windows_are_the_days_from_march_to_december_without_a_gap(windows: Windows) -> None:
    ends = [end for end, _ in windows]
    assert ends[0] == datetime(2013, 3, 2, tzinfo=UTC)
    assert ends[-1] == datetime(2014, 1, 2, tzinfo=UTC)
    assert {later - end for end, later in pairwise(ends)} == {timedelta(days=1)}


def test_a_question_is_asked_in_its_own_day_and_in_order(windows: Windows) -> None:
    for end, questions in windows:
        asked = [
            datetime.fromisoformat(json.loads(question.body)["event_times"][0])
            for question in questions
        ]
        assert asked == sorted(asked)
        assert all(end - timedelta(days=1) <= moment < end for moment in asked)
        assert all(START <= moment < END for moment in asked)


def test_a_day_is_sampled_up_to_the_number_that_was_asked_for(year: Year) -> None:
    asked = year.asked.group_by("day").len()
    assert asked["len"].max() == PER_DAY
    whole = year.flights.filter(pl.col("predicted_at").is_between(START, END, closed="left"))
    available = whole.group_by("day").len().join(asked, on="day", suffix="_asked")
    assert available.filter(
        pl.min_horizontal("len", pl.lit(PER_DAY)) != pl.col("len_asked")
    ).is_empty()
    assert available.height == whole["day"].n_unique()


def test_a_request_has_every_feature_its_flight_and_its_moment(
    year: Year, windows: Windows
) -> None:
    end, questions = windows[100]
    rows = {str(row["flight_id"]): row for row in year.asked.iter_rows(named=True)}
    assert questions, end
    for question in questions:
        body, row = json.loads(question.body), rows[question.flight_id]
        assert body["units"] == [question.flight_id]
        (values,) = body["rows"]
        assert list(values) == [feature.name for feature in FEATURES]
        for name, value in values.items():
            held = row[name]
            if value is None:  # JSON has no NaN
                assert held is None or math.isnan(held)
            else:
                assert value == pytest.approx(held) if isinstance(held, float) else value == held


def test_a_question_carries_the_truth_its_flight_landed_with(year: Year, windows: Windows) -> None:
    truth = {
        str(row["flight_id"]): (row["late"], row["landed_at"], row["predicted_at"])
        for row in year.asked.iter_rows(named=True)
    }
    unknown = 0
    for _, questions in windows:
        for question in questions:
            late, landed, predicted = truth[question.flight_id]
            assert (question.late, question.landed_at) == (late, landed)
            assert late is None or landed > predicted
            unknown += late is None
    assert 0 < unknown < 0.1 * len(truth)  # cancelled flights have no label


def test_what_is_published_is_what_had_landed_and_each_flight_once(year: Year) -> None:
    moments = [START, START + timedelta(days=7), START + timedelta(days=30)]
    parts = [year.known(None, moments[0])]
    parts += [year.known(*span) for span in pairwise(moments)]
    for part, moment in zip(parts, moments, strict=True):
        assert part["landed_at"].max() <= moment
        assert part["late"].null_count() == 0
    whole = year.known(None, moments[-1])
    assert sum(part.height for part in parts) == whole.height
    assert pl.concat(parts)["flight_id"].n_unique() == whole.height


def test_the_sampling_is_told_with_its_numbers(year: Year) -> None:
    assert f"{PER_DAY} flights of each day" in year.sampling
    assert f"{year.asked.height:,} in all" in year.sampling
