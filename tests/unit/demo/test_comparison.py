from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from trivet.demo.comparison import by_month, gain

FIRST = date(2013, 3, 20)


def answered(seed: int, *, days: int = 40, per_day: int = 12) -> pl.DataFrame:
    """Invent days on which both models do well or badly together, the loop a little better."""
    generator = np.random.default_rng(seed)
    rows = days * per_day
    day = np.repeat(np.arange(days), per_day)
    truth = np.clip(generator.normal(0.35, 0.2, days)[day] + generator.normal(0, 0.2, rows), 0, 1)
    return pl.DataFrame(
        {
            "day": [FIRST + timedelta(days=int(at)) for at in day],
            "late": generator.random(rows) < truth,
            "loop": np.clip(truth + generator.normal(0, 0.1, rows), 0.01, 0.99),
            "frozen": np.clip(truth + generator.normal(0, 0.25, rows), 0.01, 0.99),
        }
    )


def brier(rows: pl.DataFrame, name: str) -> float:
    losses = [
        (answer - (1.0 if late else 0.0)) ** 2
        for answer, late in zip(rows[name], rows["late"], strict=True)
    ]
    return sum(losses) / len(losses)


def area(rows: pl.DataFrame, name: str) -> float:
    """The share of pairs in the right order, a tie counting half."""
    late = rows.filter("late")[name].to_list()
    early = rows.filter(~pl.col("late"))[name].to_list()
    won = sum((one > other) + 0.5 * (one == other) for one in late for other in early)
    return won / (len(late) * len(early))


@pytest.mark.parametrize("seed", range(5))
def test_a_month_s_scores_are_the_plain_ones_of_its_flights(seed: int) -> None:
    rows = answered(seed)
    months = by_month(rows)
    assert [month.month for month in months] == ["2013-03", "2013-04"]
    for month in months:
        own = rows.filter(pl.col("day").dt.strftime("%Y-%m") == month.month)
        for name, score in (("loop", month.loop), ("frozen", month.frozen)):
            assert score.flights == own.height
            assert score.brier == pytest.approx(brier(own, name))
            assert score.auc == pytest.approx(area(own, name))
            assert score.brier_low < score.brier < score.brier_high
            assert score.auc_low < score.auc < score.auc_high


@pytest.mark.parametrize("seed", range(5))
def test_the_gain_is_the_difference_of_the_plain_scores(seed: int) -> None:
    rows = answered(seed)
    found = gain(rows)
    assert found.flights == rows.height
    assert found.brier == pytest.approx(brier(rows, "frozen") - brier(rows, "loop"))
    assert found.auc == pytest.approx(area(rows, "loop") - area(rows, "frozen"))
    assert found.brier_low < found.brier < found.brier_high
    assert found.auc_low < found.auc < found.auc_high


def test_the_two_changing_places_turns_the_gain_over() -> None:
    rows = answered(1)
    swapped = rows.rename({"loop": "frozen", "frozen": "loop"})
    one, other = gain(rows), gain(swapped)
    assert other.brier == pytest.approx(-one.brier)
    assert (other.brier_low, other.brier_high) == pytest.approx((-one.brier_high, -one.brier_low))
    assert one.is_shown
    assert not other.is_shown


def test_a_model_gains_nothing_over_itself() -> None:
    rows = answered(2).with_columns(frozen=pl.col("loop"))
    found = gain(rows)
    assert (found.brier, found.auc) == (0.0, 0.0)
    assert not found.is_shown
    assert all(month.loop == month.frozen for month in by_month(rows))


FIGURES = ("brier", "brier_low", "brier_high", "auc", "auc_low", "auc_high")


def test_asking_about_each_flight_twice_proves_nothing_more() -> None:
    rows = answered(3)
    one, twice = by_month(rows)[0].loop, by_month(pl.concat([rows, rows]))[0].loop
    for name in FIGURES:
        assert getattr(twice, name) == pytest.approx(getattr(one, name), abs=1e-9)


def test_asking_about_each_pair_twice_only_makes_the_unseen_one_weigh_less() -> None:
    # A comparison counts one row more than was seen, against the loop: among twice as many, half.
    rows = answered(3)
    one, twice = gain(rows), gain(pl.concat([rows, rows]))
    assert (twice.brier, twice.auc) == pytest.approx((one.brier, one.auc))
    assert (twice.auc_low, twice.auc_high) == pytest.approx((one.auc_low, one.auc_high))
    assert one.brier_low <= twice.brier_low <= twice.brier_high <= one.brier_high
    narrower = (one.brier_high - one.brier_low) - (twice.brier_high - twice.brier_low)
    assert narrower < 0.05 * (one.brier_high - one.brier_low)


def test_hard_days_widen_a_month_more_than_the_paired_gain() -> None:
    rows = answered(4)
    found, month = gain(rows), by_month(rows)[1]
    assert found.brier_high - found.brier_low < month.loop.brier_high - month.loop.brier_low


def test_the_order_of_the_rows_changes_no_interval() -> None:
    rows = answered(5)
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=9)
    one, other = gain(rows), gain(shuffled)
    assert other.brier_low == pytest.approx(one.brier_low)
    assert other.auc_high == pytest.approx(one.auc_high)
    assert {month.month for month in by_month(shuffled)} == {"2013-03", "2013-04"}
