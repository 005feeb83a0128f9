from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from trivet.core.errors import Invalid
from trivet.demo.features import FEATURES, NUMBERS
from trivet.demo.learning import (
    LEAST_ROUNDS,
    Fitted,
    category_columns,
    describe_inputs,
    fit,
    fit_rates,
    labelled,
    predict,
)
from trivet.statistics.metrics import auc, brier_score

DESTINATIONS = ("BOS", "LAX", "ORD")


def examples(rows: int = 4000, *, seed: int = 0, days: int = 20) -> pl.DataFrame:
    """Flights to LAX, and those of a delayed carrier, are often late; the rest is noise."""
    generator = np.random.default_rng(seed)
    numbers = {name: generator.normal(size=rows).astype(np.float32) for name in NUMBERS}
    numbers["departure_minute"] = generator.integers(300, 1439, rows).astype(np.float32)
    to = generator.integers(0, 3, rows)
    score = 1.5 * (to == 1) + 1.5 * numbers["carrier_delay_3h_min"] - 1.5
    late = generator.random(rows) < 1 / (1 + np.exp(-score))
    numbers["wind_gust_mph"][generator.random(rows) < 0.7] = np.nan
    day = np.sort(generator.integers(0, days, rows))
    return pl.DataFrame(
        {
            "day": [date(2013, 1, 1) + timedelta(days=int(number)) for number in day],
            "carrier": [("AA", "UA")[at] for at in generator.integers(0, 2, rows)],
            "origin": [("EWR", "JFK")[at] for at in generator.integers(0, 2, rows)],
            "destination": [DESTINATIONS[at] for at in to],
            **numbers,
            "late": late,
        }
    )


@pytest.fixture(scope="module")
def known() -> pl.DataFrame:
    return examples()


@pytest.fixture(scope="module")
def fitted(known: pl.DataFrame) -> Fitted:
    return fit(known)


@pytest.fixture(scope="module")
def later() -> pl.DataFrame:
    return examples(seed=1)


def test_the_model_tells_late_flights_better_than_the_rates_do(
    known: pl.DataFrame, later: pl.DataFrame, fitted: Fitted
) -> None:
    late = later["late"].to_numpy()
    answers = predict(fitted, later)
    assert auc(late, answers) > 0.75
    for columns in ((), ("carrier", "hour")):
        assert brier_score(late, answers) < brier_score(
            late, fit_rates(known, columns).predict(later)
        )


def test_the_same_examples_give_the_same_model(known: pl.DataFrame, fitted: Fitted) -> None:
    assert fitted.booster.model_to_string() == fit(known).booster.model_to_string()


def test_another_seed_is_another_model(known: pl.DataFrame, fitted: Fitted) -> None:
    assert not np.array_equal(predict(fitted, known), predict(fit(known, seed=2), known))


def test_flights_without_a_label_teach_nothing(known: pl.DataFrame, fitted: Fitted) -> None:
    unfinished = known.head(500).with_columns(pl.lit(None, pl.Boolean).alias("late"))
    mixed = pl.concat([unfinished, known])
    assert fit(mixed).booster.model_to_string() == fitted.booster.model_to_string()


def test_unknown_places_and_missing_numbers_get_an_answer(
    known: pl.DataFrame, fitted: Fitted
) -> None:
    odd = known.head(50).with_columns(
        pl.lit("XYZ").alias("destination"),
        *(pl.lit(None, pl.Float32).alias(name) for name in NUMBERS),
    )
    answers = predict(fitted, odd)
    assert np.isfinite(answers).all()
    assert ((answers > 0) & (answers < 1)).all()


def test_categories_are_split_by_membership(known: pl.DataFrame, fitted: Fitted) -> None:
    assert category_columns(fitted.signature) == [0, 1, 2]
    assert "num_cat=1" in fitted.booster.model_to_string()
    to_lax = known.with_columns(pl.lit("LAX").alias("destination"))
    to_boston = known.with_columns(pl.lit("BOS").alias("destination"))
    assert (predict(fitted, to_lax) - predict(fitted, to_boston)).mean() > 0.05


def test_the_signature_holds_the_features_in_their_order(known: pl.DataFrame) -> None:
    signature = describe_inputs(known)
    assert [item.name for item in signature.inputs] == [feature.name for feature in FEATURES]
    assert signature.classes == ("false", "true")
    assert all(item.missing == "allow" for item in signature.inputs)
    assert {item.unknown for item in signature.inputs if item.type == "category"} == {"missing"}


def test_a_model_is_never_too_small(fitted: Fitted) -> None:
    assert fitted.rounds == fitted.booster.num_trees() >= LEAST_ROUNDS
    assert 0 < fitted.validation_loss < np.log(2)


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        (item.name, 1 if item.effect == "rises" else -1)
        for item in FEATURES
        if item.effect != "free"
    ],
)
def test_more_of_a_bad_sign_never_lowers_the_forecast(
    fitted: Fitted, later: pl.DataFrame, name: str, sign: int
) -> None:
    worse = later.with_columns(pl.col(name) + sign)
    assert (predict(fitted, worse) >= predict(fitted, later)).all()


def test_few_days_are_refused() -> None:
    with pytest.raises(Invalid, match="4 days"):
        fit(examples(days=4))


@pytest.mark.parametrize("value", [True, None])
def test_examples_that_teach_nothing_are_refused(known: pl.DataFrame, value: bool | None) -> None:
    with pytest.raises(Invalid):
        fit(known.with_columns(pl.lit(value, pl.Boolean).alias("late")))


def test_rates_are_shares_drawn_towards_the_overall_one() -> None:
    frame = pl.DataFrame(
        {
            "carrier": ["AA", "AA", "UA", "UA", "UA"],
            "departure_minute": [60.0, 119.0, 60.0, 60.0, 60.0],
            "late": [True, True, False, None, False],
        }
    )
    table = fit_rates(frame, prior_flights=2)
    assert table.predict(frame).tolist() == [0.75, 0.75, 0.25, 0.25, 0.25]
    elsewhere = frame.with_columns(pl.lit("ZZ").alias("carrier"))
    assert table.predict(elsewhere).tolist() == [0.5] * 5
    assert fit_rates(frame, ()).predict(frame).tolist() == [0.5] * 5
    assert labelled(frame).height == 4


def test_rates_of_nothing_are_refused(known: pl.DataFrame) -> None:
    with pytest.raises(Invalid, match="label"):
        fit_rates(known.head(0))
